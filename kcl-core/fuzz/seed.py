#!/usr/bin/env python3
"""Writes the corpus of the target `aggregates`: vectors of another implementation, and what is nearly sound."""
import json
import pathlib

HERE = pathlib.Path(__file__).parent
CORPUS = HERE / "corpus/aggregates"
VECTORS = json.loads((HERE.parent / "tests/vectors/aggregates.json").read_text())

for number, vector in enumerate(VECTORS):
    whole = bytes.fromhex(vector["bytes"])
    if len(whole) > 4000:
        continue
    (CORPUS / f"vector-{number}").write_bytes(b"\0" + whole)
    (CORPUS / f"message-{number}").write_bytes(b"\1" + whole[4:-16])

KEY = "0a016b"
MESSAGES = {
    "no-key": "1a03 1a0178", "no-data": "1a020800", "behind": KEY + "1a0508011a0178", "hash-behind": KEY + "1a06080010001a00",
    "records-first": "1a0508001a0178" + KEY, "tags": KEY + "1a0c08001a017822050a03746167",
    "unknown": KEY + "200129000000000000000032017" "83d000000001a0508001a0178", "group": "0b0c", "large-number": "08ffffffffffffffffff01",
    "hash-key": KEY + "1202313" "7" + "1a06080010001a00", "bad-hash-key": "12022b31", "not-utf8": "0a01ff",
}
for name, text in MESSAGES.items():
    (CORPUS / name).write_bytes(b"\1" + bytes.fromhex(text))
(CORPUS / "packs").write_bytes(b"\2\x01\x00" + b"\0\1\5hello" + b"\7\2\5world" + b"\7\2\0" + b"\3\1\5again" * 20)
(CORPUS / "short").write_bytes(b"\0" + bytes.fromhex("f3899ac2") + bytes(16))
(CORPUS / "plain").write_bytes(b"\0plain")

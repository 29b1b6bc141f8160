"""Writes the corpus: for each operation a sound request in both encodings, and what hostile clients
send. Run with the interpreter of tests/interop/constraints; the files are checked in."""

import pathlib
import random
import sys

import cbor2

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here / "../../tests/interop/constraints"))
import constraints  # noqa: E402

NAME = "s"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
constraints.SOUND |= {
    "StreamName": NAME,
    "StreamARN": ARN,
    "ResourceARN": ARN,
    "ConsumerName": "c",
    "ConsumerARN": f"{ARN}/consumer/c:1700000000",
    "HashKey": "170141183460469231731687303715884105728",
}


def write(target, name, data):
    place = here / "corpus" / target
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(data)


def whole(model, name):
    """A structure with all its members."""
    shape = model.shapes[name]
    if shape["type"] == "structure":
        return {m: whole(model, t["shape"]) for m, t in shape["members"].items() if m != "StreamId"}
    if shape["type"] == "list":
        return [whole(model, shape["member"]["shape"])] * 2
    return model.sound(name)


def requests():
    model = constraints.Model(constraints.load_model())
    for choice, operation in enumerate(sorted(model.operations)):
        shape = model.operations[operation].get("input", {}).get("shape")
        sound = model.sound(shape) if shape else {}
        members = model.shapes[shape]["members"] if shape else {}
        if "StreamName" in members:
            sound["StreamName"] = NAME
        for suffix, body in (("", sound), ("-whole", whole(model, shape) if shape else {})):
            write("json", operation + suffix, bytes([choice]) + constraints.Json().write(body))
            write("cbor", operation + suffix, bytes([choice]) + cbor2.dumps(body))
    choice = sorted(model.operations).index("DescribeStream")
    for name, body in {
        "nested-lists": b'{"x":' + b"[" * 5000,
        "nested-maps": b'{"x":' + b'{"x":' * 5000,
        "twice": b'{"StreamName":"x","StreamName":"s"}',
        "escapes": b'{"StreamName":"\\ud83d\\ude00\\u0000","x":"\\ud800"}',
        "large-number": b'{"StreamName":"s","Limit":1e400}',
        "nul": b'{"StreamName":"s\x00"}',
        "garbage": b"\xff\xfe{}",
        "ignored-garbage": b'{"StreamName":"s","x":"\xff"}',
    }.items():
        write("json", name, bytes([choice]) + body)
    key = b"\x6aStreamName"
    for name, body in {
        "nested-arrays": b"\xa1\x61x" + b"\x9f" * 5000,
        "nested-maps": b"\xa1\x61x" + b"\xa1\x61x" * 5000,
        "long-array": b"\xa1" + key + b"\x9b" + b"\x10" + bytes(7),
        "long-text": b"\xa1" + key + b"\x7b\x10" + bytes(7),
        "long-bytes": b"\xa1" + key + b"\x5b\x10" + bytes(7),
        "long-map": b"\xbb\x10" + bytes(7),
        "chunks": b"\xbf" + key + b"\x7f\x61s\x60\xff\xff",
        "tags": b"\xbf" + key + b"\xc1\xd9\xd9\xf7\x61s\xff",
        "twice": b"\xbf" + key + b"\x61x" + key + b"\x61s\xff",
        "halves": b"\xbf" + key + b"\x61s\x65Limit\xf9\x3c\x00\xff",
        "number-key": b"\xbf\x01\x02" + key + b"\x61s\xff",
        "undefined": b"\xbf" + key + b"\x61s\x65Limit\xf7\xff",
        "simple": b"\xbf" + key + b"\x61s\x65Limit\xf8\xff\xff",
        "half-text": b"\xbf" + key + b"\x61\xc3\xff",
    }.items():
        write("cbor", name, bytes([choice]) + body)


def https():
    target = b"X-Amz-Target: Kinesis_20131202."
    json_type, cbor_type = (b"Content-Type: " + t for t in
                            (b"application/x-amz-json-1.1", b"application/x-amz-cbor-1.1"))
    signed = (b"Authorization: AWS4-HMAC-SHA256 Credential=AKID/20231114/us-east-1/kinesis/"
              b"aws4_request, SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64)
    for name, lines, body in (
        ("list", [b"POST /", json_type, target + b"ListStreams"], b"{}"),
        ("list-cbor", [b"POST /", cbor_type, target + b"ListStreams"], b"\xa0"),
        ("put", [b"POST /", json_type + b"; charset=utf-8", target + b"PutRecord"],
         b'{"StreamName":"s","PartitionKey":"k","Data":"YQ=="}'),
        ("empty-body", [b"POST /", cbor_type, target + b"ListStreams"], b""),
        ("no-target", [b"POST /x?y=z", json_type], b"{}"),
        ("old", [b"POST /", b"Content-Type: application/json", target + b"ListStreams"], b"{}"),
        ("get", [b"GET /"], b""),
        ("options", [b"OPTIONS /", b"Origin: http://a", b"Access-Control-Request-Headers: x"], b""),
        ("health", [b"GET /_emulator/health"], b""),
        ("advance", [b"POST /_emulator/clock/advance", b"Content-Type: application/json"],
         b'{"by":"5s"}'),
        ("tables", [b"POST /", b"Content-Type: application/x-amz-json-1.0",
                    b"X-Amz-Target: DynamoDB_20120810.ListTables"], b"{}"),
        ("signed", [b"POST /?X-Amz-Signature=1", json_type, target + b"ListStreams", signed,
                    b"X-Amz-Date: 20231114T221320Z"], b"{}"),
        ("binary", [b"POST /", b"Content-Type: \xff\xfe", target + b"\xff"], b"\x00"),
    ):
        write("http", name, b"\x00" + b"\n".join(lines) + b"\n\n" + body)
    write("http", "guarded", b"\x01" + b"\n".join(
        [b"POST /", json_type, target + b"ListStreams", signed, b"X-Amz-Date: 20231114T221320Z"]
    ) + b"\n\n{}")


def authorizations():
    scope = b"Credential=AKID/20231114/us-east-1/kinesis/aws4_request"
    names, signature = b"SignedHeaders=host;x-amz-date", b"Signature=" + b"0" * 64
    date, algorithm = b"20231114T221320Z", b"AWS4-HMAC-SHA256 "
    query = (b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20231114%2Fus-east-1%2F"
             b"kinesis%2Faws4_request&X-Amz-Date=20231114T221320Z&X-Amz-SignedHeaders=host&"
             b"X-Amz-Signature=00&X-Amz-Expires=60")
    for name, lines in {
        "sound": [algorithm + b", ".join([scope, names, signature]), date, b""],
        "no-blanks": [algorithm + b",".join([scope, names, signature]), date, b""],
        "unknown-key": [algorithm + b", ".join([scope.replace(b"AKID", b"X"), names, signature]), date, b""],
        "no-signature": [algorithm + b", ".join([scope, names]), date, b""],
        "no-date": [algorithm + b", ".join([scope, names, signature]), b"", b""],
        "old-date": [algorithm + b", ".join([scope, names, signature]), b"20131114T221320Z", b""],
        "short-scope": [algorithm + b", ".join([b"Credential=AKID/2", names, signature]), date, b""],
        "other-algorithm": [b"Basic " + scope, date, b""],
        "query": [b"", b"", query],
        "both": [algorithm + scope, date, query],
        "neither": [b"", b"", b""],
        "bytes": [b"\xff\xe9" + algorithm, b"\xff", b"%zz=%"],
    }.items():
        write("authorization", name, b"\n".join([*lines, b"{}"]))


def others():
    for name, data in {
        "json": b"\x01" + b"key-data\x01other\x01\x01",
        "cbor": b"\x0b" + b"key-data\x0bother\x0b",
        "empty": b"\x08",
        "quotes": b"\x03\"\\\n\x00\x1f\x03" + bytes(range(128, 256)),
        "long": b"\x0f" + b"x" * 3000,
        "recorded": bytes.fromhex(
            "00000068000000564e6817240d3a6d6573736167652d747970650700056576656e740b3a6576656e74"
            "2d74797065070010696e697469616c2d726573706f6e73650d3a636f6e74656e742d74797065070010"
            "6170706c69636174696f6e2f6a736f6e7b7dfe942c1d"),
    }.items():
        write("frames", name, data)
    for kind in range(4):
        write("tokens", f"genuine-{kind}", bytes([kind]))
        write("tokens", f"changed-{kind}", bytes([kind | 4, 20, 65]))
        write("tokens", f"cut-{kind}", bytes([kind | 8, 40]) + b"AAAA")
        write("tokens", f"made-up-{kind}", bytes([kind | 12]) + b"AAAAAAAAAAE=")


def expressions():
    """Texts first: the bytes before them choose the kind of expression, and that there is a row."""
    update, condition, projection, put, delete = range(5)
    for name, kind, text in (
        ("update-set", update, "SET a = a + :n, m.b[0] = if_not_exists(m.x, :o), #d = (a)-(:n)"),
        ("update-lists", update, "SET c[9] = :n, c[7] = :s REMOVE c[0], c[2][0] ADD c[3].a :n"),
        ("update-append", update, "set c=list_append(:l,list_append(c,:l)) delete s :ss add n :ns"),
        ("update-swap", update, "SET a = b, b = a REMOVE y, m.m.q"),
        ("update-overlap", update, "SET m.a = :n REMOVE m"),
        ("update-conflict", update, "SET m.x = :n REMOVE m[0]"),
        ("update-twice", update, "SET a = :n SET b = :n"),
        ("update-no-parent", update, "SET x.y = :n"),
        ("update-no-operand", update, "SET x = y"),
        ("update-type", update, "SET x = b + a"),
        ("update-digits", update, "SET x = :g + :o"),
        ("update-key", update, "REMOVE k"),
        ("update-wrapped", update, "SET a = ((a) + (:n)), x = ((b))"),
        ("update-wrapped-sum", update, "SET a = ((a)) + :n"),
        ("update-empty-set", update, "DELETE s :ss, n :ns ADD z :bs"),
        ("condition-precedence", condition, "NOT a = :n AND b = :s OR a IN (:n, :o) AND NOT t = :t"),
        ("condition-between", condition, "a BETWEEN :n AND :o AND size(b) >= :n"),
        ("condition-functions", condition, "contains(s, b) and begins_with (m.a, :s) or attribute_type(c[2], :k)"),
        ("condition-wrapped", condition, "(m.b)[0] = :n AND (a) <> (:o) AND (attribute_exists(#s))"),
        ("condition-redundant", condition, "((a = :n))"),
        ("condition-deep", condition, "a = :n OR (" * 60 + "a = :n" + ")" * 60),
        ("condition-not", condition, "NOT NOT NOT (NOT (a = :n))"),
        ("condition-order", condition, "t < :t"),
        ("condition-bounds", condition, "a BETWEEN :o AND :n"),
        ("condition-same", condition, "a.b = a.b"),
        ("condition-misused", condition, "size(b)"),
        ("condition-reserved", condition, "size = :n"),
        ("condition-many", condition, " OR ".join(["a=:n"] * 301)),
        ("condition-members", condition, "a IN (" + ",".join([":n"] * 101) + ")"),
        ("condition-parentheses", condition, "(" * 400),
        ("condition-index", condition, "c[4294967296] = :n"),
        ("condition-missing", condition, "x <> y OR x = y"),
        ("projection", projection, "m.b[1], m.m, c[3].a, c[0], #d, k"),
        ("projection-overlap", projection, "c, c[0]"),
        ("projection-key", projection, "k.a"),
        ("put", put, "attribute_not_exists(k) OR m = :m"),
        ("delete", delete, "c[0] = :n AND contains(c, b) AND NOT attribute_exists(c[9])"),
        ("characters", delete, "a = :n \x00 \u00fc"),
    ):
        write("expressions", name, bytes([3, kind, 0]) + text.encode())
    # The rest are choices; any bytes are.
    generator = random.Random(1)
    for count in range(24):
        data = bytes([0, 1]) + generator.randbytes(40 + 8 * count)
        write("expressions", f"choices-{count}", data)
        write("expressions", f"legacy-{count}", b"\x02" + data[1:])


requests()
https()
authorizations()
others()
expressions()

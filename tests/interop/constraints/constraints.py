"""Checks an emulator against the constraints that the service publishes.

The model is botocore's. For every member of every request it says what is required, how long, how
large, of which pattern or which words, and how many members a list or a map has. For each of these a
request is sent that breaks it and is sound otherwise, and the refusal must be the one that the service
would make: a ValidationException that names value, path and constraint. Requests at the very bounds
must pass the constraints.
"""

import argparse
import base64
import gzip
import http.client
import importlib.util
import json
import pathlib
import re
import sys
import urllib.parse

import cbor2

OPERATIONS = 39
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/constraints"
# A sound value for each shape that has a pattern or a meaning.
SOUND = {
    "StreamName": "constraints",
    "ConsumerName": "constraints",
    "StreamARN": ARN,
    "ResourceARN": ARN,
    "ConsumerARN": ARN + "/consumer/constraints:1700000000",
    "StreamId": "abcdefghijklmnopqrst-abc",
    "ShardId": "shardId-000000000000",
    "HashKey": "1",
    "SequenceNumber": "1",
    "Policy": "{}",
    "KeyId": "alias/aws/kinesis",
}
# Printed by the service with an identity that nobody can foretell.
IDENTITY = re.compile(r"com\.amazonaws\.kinesis\.v20131202\.\w+@[0-9a-f]+")
WORDS = re.compile(r"enum value set: \[([^\]]*)\]")


class Blob(bytes):
    """Bytes on their way to either encoding."""


def load_model():
    place = pathlib.Path(importlib.util.find_spec("botocore").origin).parent
    path = place / "data/kinesis/2013-12-02/service-2.json"
    if path.exists():
        return json.loads(path.read_text())
    return json.loads(gzip.decompress(path.with_suffix(".json.gz").read_bytes()))


def lower_first(name):
    return name[0].lower() + name[1:]


class Model:
    def __init__(self, document):
        self.shapes = document["shapes"]
        self.operations = document["operations"]

    def sound(self, name):
        """A value that breaks nothing."""
        shape = self.shapes[name]
        kind = shape["type"]
        if name in SOUND:
            return SOUND[name]
        if kind == "structure":
            return {m: self.sound(shape["members"][m]["shape"]) for m in shape.get("required", [])}
        if kind == "list":
            return [self.sound(shape["member"]["shape"])] * max(1, shape.get("min", 1))
        if kind == "map":
            return {"a": self.sound(shape["value"]["shape"])}
        if kind == "string":
            return shape["enum"][0] if "enum" in shape else "x" * max(1, shape.get("min", 1))
        if kind == "blob":
            return Blob(b"data")
        if kind == "boolean":
            return True
        if kind == "timestamp":
            return 1700000000
        if kind in ("integer", "long"):
            return shape.get("min", 1)
        raise ValueError(f"a shape of unknown type: {name} is a {kind}")

    def of_length(self, name, length):
        """A text of that length, of the shape's pattern where there is one."""
        sound = SOUND.get(name, "x")
        if name == "ConsumerARN":
            head, tail = sound.split("/consumer/")
            return head + "a" * (length - len(sound)) + "/consumer/" + tail
        return sound[:length] + sound[-1] * (length - len(sound))

    def own_broken(self, name):
        """Values that break a constraint of the shape itself, and why they were made."""
        shape = self.shapes[name]
        kind, low, high = shape["type"], shape.get("min"), shape.get("max")
        if kind == "string":
            if low:
                yield f"shorter than {low}", self.of_length(name, low - 1)
            if high is not None:
                yield f"longer than {high}", self.of_length(name, high + 1)
            if "pattern" in shape:
                yield "against the pattern", "not! this?"
            if "enum" in shape:
                yield "none of the words", "NONSENSE"
        elif kind in ("integer", "long"):
            if low is not None:
                yield f"less than {low}", low - 1
            if high is not None:
                yield f"more than {high}", high + 1
        elif kind == "blob":
            if high is not None:
                yield f"longer than {high}", Blob(high + 1)
        elif kind == "list":
            member = self.sound(shape["member"]["shape"])
            if low:
                yield f"fewer than {low}", [member] * (low - 1)
            if high is not None:
                yield f"more than {high}", [member] * (high + 1)
        elif kind == "map":
            value = self.sound(shape["value"]["shape"])
            if low:
                yield f"fewer than {low}", {f"k{i}": value for i in range(low - 1)}
            if high is not None:
                yield f"more than {high}", {f"k{i}": value for i in range(high + 1)}

    def own_bounds(self, name):
        """Values that just break no constraint of the shape itself."""
        shape = self.shapes[name]
        kind, low, high = shape["type"], shape.get("min"), shape.get("max")
        if kind == "string" and "enum" not in shape and name != "StreamId":
            # A pattern may ask for more than the least length.
            if low and "pattern" not in shape:
                yield f"as short as {low}", self.of_length(name, low)
            if high is not None:
                yield f"as long as {high}", self.of_length(name, high)
        elif kind == "string" and "enum" in shape:
            for word in shape["enum"]:
                yield f"the word {word}", word
        elif kind in ("integer", "long"):
            for bound in (low, high):
                if bound is not None:
                    yield f"exactly {bound}", bound
        elif kind == "blob" and high is not None:
            yield f"as long as {high}", Blob(high)
        elif kind == "list" and high is not None:
            yield f"as many as {high}", [self.sound(shape["member"]["shape"])] * high
        elif kind == "map" and high is not None:
            value = self.sound(shape["value"]["shape"])
            yield f"as many as {high}", {f"k{i}": value for i in range(high)}

    def variants(self, name, own):
        """Values of the shape in which one thing, here or below, is as `own` makes it."""
        yield from own(name)
        shape = self.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            for member, target in shape["members"].items():
                for why, value in self.variants(target["shape"], own):
                    whole = self.sound(name)
                    whole[member] = value
                    yield f"{member} {why}", whole
        elif kind == "list":
            for why, value in self.variants(shape["member"]["shape"], own):
                yield f"second member {why}", [self.sound(shape["member"]["shape"]), value]
        elif kind == "map":
            for why, key in self.variants(shape["key"]["shape"], own):
                yield f"key {why}", {"a": "b", key: "c"}
            for why, value in self.variants(shape["value"]["shape"], own):
                yield f"value {why}", {"a": "b", "c": value}

    def without_required(self, name):
        """Values of the shape in which one required member, here or below, is missing."""
        shape = self.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            for member in shape.get("required", []):
                whole = self.sound(name)
                del whole[member]
                yield f"without {member}", whole
            for member, target in shape["members"].items():
                for why, value in self.without_required(target["shape"]):
                    whole = self.sound(name)
                    whole[member] = value
                    yield f"{member} {why}", whole
        elif kind == "list":
            for why, value in self.without_required(shape["member"]["shape"]):
                yield f"second member {why}", [self.sound(shape["member"]["shape"]), value]

    def broken(self, name, value, path=""):
        """What the service says of a value: (value, path, constraint) each."""
        shape = self.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            for member, target in shape["members"].items():
                below = f"{path}.{lower_first(member)}" if path else lower_first(member)
                if value.get(member) is not None:
                    yield from self.broken(target["shape"], value[member], below)
                elif member in shape.get("required", []):
                    yield "null", below, "Member must not be null"
            return
        shown = f"'{show(value)}'"
        for constraint in self.breaches(shape, value):
            yield shown, path, constraint
        if kind == "list":
            member = shape["member"]["shape"]
            if self.shapes[member]["type"] == "structure":
                for place, each in enumerate(value, 1):
                    yield from self.broken(member, each, f"{path}.{place}.member")
            elif any(any(self.breaches(self.shapes[member], each)) for each in value):
                yield shown, path, "Member must satisfy constraint: " + self.all_of(member)
        elif kind == "map":
            for part, label, each in (
                ("key", "Map keys", list(value)),
                ("value", "Map value", list(value.values())),
            ):
                target = shape[part]["shape"]
                if any(any(self.breaches(self.shapes[target], one)) for one in each):
                    yield shown, path, f"{label} must satisfy constraint: " + self.all_of(target)

    def breaches(self, shape, value):
        kind, low, high = shape["type"], shape.get("min"), shape.get("max")
        if kind in ("string", "blob", "list", "map"):
            if low is not None and len(value) < low:
                yield f"Member must have length greater than or equal to {low}"
            if high is not None and len(value) > high:
                yield f"Member must have length less than or equal to {high}"
        if kind == "string" and "pattern" in shape and not re.fullmatch(shape["pattern"], value):
            yield f"Member must satisfy regular expression pattern: {shape['pattern']}"
        if kind == "string" and "enum" in shape and value not in shape["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"
        if kind in ("integer", "long"):
            if low is not None and value < low:
                yield f"Member must have value greater than or equal to {low}"
            if high is not None and value > high:
                yield f"Member must have value less than or equal to {high}"

    def all_of(self, name):
        """The constraints of a list's or a map's members, as the service lists them."""
        shape = self.shapes[name]
        told = []
        if "max" in shape:
            told.append(f"Member must have length less than or equal to {shape['max']}")
        if "min" in shape:
            told.append(f"Member must have length greater than or equal to {shape['min']}")
        if "pattern" in shape:
            told.append(f"Member must satisfy regular expression pattern: {shape['pattern']}")
        if "enum" in shape:
            told.append(f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]")
        return f"[{', '.join(told)}]"


def show(value):
    """A value as the service prints it."""
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if isinstance(value, list):
        return "[" + ", ".join(show(each) for each in value) + "]"
    if isinstance(value, dict) and "Data" in value:
        return "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@1"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={show(each)}" for key, each in value.items()) + "}"
    return str(value)


class Json:
    name = "json"
    content_type = "application/x-amz-json-1.1"

    def write(self, body):
        def default(value):
            raise TypeError(f"no JSON for {value!r}")

        def blobs(value):
            if isinstance(value, bytes):
                return base64.b64encode(value).decode()
            if isinstance(value, list):
                return [blobs(each) for each in value]
            if isinstance(value, dict):
                return {key: blobs(each) for key, each in value.items()}
            return value

        return json.dumps(blobs(body), default=default).encode()

    def read(self, body):
        return json.loads(body)


class Cbor:
    name = "cbor"
    content_type = "application/x-amz-cbor-1.1"

    def write(self, body):
        return cbor2.dumps(body)

    def read(self, body):
        return cbor2.loads(body)


class Client:
    def __init__(self, endpoint):
        parts = urllib.parse.urlsplit(endpoint)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def call(self, wire, operation, body):
        headers = {
            "Content-Type": wire.content_type,
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/kinesis/"
            "aws4_request, SignedHeaders=host, Signature=00",
        }
        self.connection.request("POST", "/", body=wire.write(body), headers=headers)
        answer = self.connection.getresponse()
        if answer.status == 200:
            # A subscription would go on for minutes; nothing here is after its events.
            self.connection.close()
            return 200, answer.headers["Content-Type"], {}
        return answer.status, answer.headers["Content-Type"], wire.read(answer.read())


def cases(model, operation):
    """Name, request and what must be said of it, for one operation."""
    if "input" not in model.operations[operation]:
        return
    name = model.operations[operation]["input"]["shape"]
    yield "sound", model.sound(name)
    for why, body in model.without_required(name):
        yield why, body
    for own in (model.own_broken, model.own_bounds):
        for why, body in model.variants(name, own):
            yield why, body


def normal(text):
    """Identities are forgotten and words are sorted: the service's order is a hash set's."""
    text = IDENTITY.sub("IDENTITY", text)
    return WORDS.sub(lambda m: "enum value set: [" + ", ".join(sorted(m[1].split(", "))) + "]", text)


def deviation(expected, status, kind, error, wire):
    """What is wrong with an answer; none if nothing is."""
    kinds, message = error.get("__type"), error.get("message") or error.get("Message") or ""
    if not expected:
        if "validation error" in message or kinds == "SerializationException":
            return f"breaks nothing, but was refused: {kinds}: {message}"
        if kinds == "UnknownOperationException":
            return f"is not there: {message}"
        return None
    if status != 400 or kinds != "ValidationException" or kind != wire.content_type:
        return f"expected a ValidationException, got {status} {kind} {kinds}: {message}"
    parts = [f"Value {v} at '{p}' failed to satisfy constraint: {c}" for v, p, c in expected]
    plural = "s" if len(parts) > 1 else ""
    head = f"{len(parts)} validation error{plural} detected: "
    if not message.startswith(head):
        return f"expected {head!r}, got {message!r}"
    rest = normal(message[len(head):])
    for part in map(normal, parts):
        if part not in rest:
            return f"expected {part!r}, got {rest!r}"
        rest = rest.replace(part, "", 1)
    if rest.strip("; "):
        return f"said too much: {rest!r}"
    return None


def short(text, limit=420):
    return text if len(text) <= limit else text[: limit // 2] + " ... " + text[-limit // 2 :]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("--wire", choices=["json", "cbor"])
    parser.add_argument("--operation", help="only this one")
    arguments = parser.parse_args()
    model = Model(load_model())
    if len(model.operations) != OPERATIONS:
        print(f"the model has {len(model.operations)} operations, not {OPERATIONS}", file=sys.stderr)
        return 2
    client = Client(arguments.endpoint)
    refused, passed, deviations, without = 0, 0, 0, []
    for operation in sorted(model.operations):
        if arguments.operation not in (None, operation):
            continue
        found = list(cases(model, operation))
        if len(found) < 2:
            without.append(operation)
        before = refused, passed, deviations
        for wire in (Json(), Cbor()):
            if arguments.wire not in (None, wire.name):
                continue
            for why, body in found:
                name = model.operations[operation]["input"]["shape"]
                expected = list(model.broken(name, body))
                wrong = deviation(expected, *client.call(wire, operation, body), wire)
                if wrong:
                    deviations += 1
                    print(f"DEVIATION {operation} ({wire.name}), {why}: {short(wrong)}")
                elif expected:
                    refused += 1
                else:
                    passed += 1
        if found and deviations == before[2]:
            print(f"ok {operation}: {refused - before[0]} refused, {passed - before[1]} passed")
    print(f"{len(model.operations) - len(without)} operations have constraints; "
          f"none: {', '.join(without) or '-'}")
    print(f"{refused} requests that break a constraint were refused as published, {passed} at the "
          f"bounds passed, {deviations} deviated")
    return 1 if deviations else 0


if __name__ == "__main__":
    sys.exit(main())

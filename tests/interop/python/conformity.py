"""Holds every answer of the emulator against the model that boto3 has of the service.

boto3 itself drops members it does not know and does not look at what is missing, so a misspelt
member would go unnoticed.
"""

import json

TYPES = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "timestamp": (int, float),
    "blob": str,
    "double": (int, float),
}


def deviations(shape, value, path="answer"):
    """What is unknown, missing, of another type, or not among the words of an enumeration."""
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            return [f"{path} is no structure"]
        found = [f"{path}.{name} is unknown" for name in value if name not in shape.members]
        found += [f"{path}.{name} is missing" for name in shape.required_members if name not in value]
        for name, member in shape.members.items():
            if name in value:
                found += deviations(member, value[name], f"{path}.{name}")
        return found
    if shape.type_name == "list":
        if not isinstance(value, list):
            return [f"{path} is no list"]
        return [it for item in value for it in deviations(shape.member, item, f"{path}[]")]
    if shape.type_name == "map":
        return [it for item in value.values() for it in deviations(shape.value, item, f"{path}{{}}")]
    if not isinstance(value, TYPES[shape.type_name]) or isinstance(value, bool) != (
        shape.type_name == "boolean"
    ):
        return [f"{path} is {value!r}, not a {shape.type_name}"]
    words = getattr(shape, "enum", None)
    return [f"{path} is {value}, not one of {words}"] if words and value not in words else []


class Watch:
    """Sees all answers of a client."""

    def __init__(self, client):
        self.called, self.deviations = set(), set()
        client.meta.events.register("after-call.kinesis", self.on_answer)

    def on_answer(self, http_response, model, **_):
        self.called.add(model.name)
        if http_response.status_code != 200 or model.has_event_stream_output:
            return
        if model.output_shape is None:
            if http_response.content:
                self.deviations.add(f"{model.name} answers {http_response.content!r} to a void call")
            return
        answer = json.loads(http_response.content)
        for deviation in deviations(model.output_shape, answer):
            self.deviations.add(f"{model.name}: {deviation}")

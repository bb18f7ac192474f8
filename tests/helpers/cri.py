"""A client of the Container Runtime Interface, for what a test asks of it."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

PACKAGE = "runtime.v1"
CALL_SECONDS = 60
# Messages by their names, without those that have no fields: number and type of each field that is
# used here.  A type in brackets is repeated; one that is no scalar is a message of this table.
MESSAGES: dict[str, dict[str, tuple[int, str | list[str]]]] = {
    "StatusResponse": {"status": (1, "RuntimeStatus")},
    "RuntimeStatus": {"conditions": (1, ["RuntimeCondition"])},
    "RuntimeCondition": {"type": (1, "string"), "status": (2, "bool")},
    "ImageStatusRequest": {"image": (1, "ImageSpec")},
    "ImageSpec": {"image": (1, "string")},
    "ImageStatusResponse": {"image": (1, "Image")},
    "Image": {"id": (1, "string")},
    "RunPodSandboxRequest": {"config": (1, "PodSandboxConfig"), "runtime_handler": (2, "string")},
    "PodSandboxConfig": {
        "metadata": (1, "PodSandboxMetadata"),
        "port_mappings": (5, ["PortMapping"]),
    },
    "PodSandboxMetadata": {"name": (1, "string"), "uid": (2, "string"), "namespace": (3, "string")},
    "PortMapping": {"container_port": (2, "int32"), "host_port": (3, "int32")},  # of TCP
    "RunPodSandboxResponse": {"pod_sandbox_id": (1, "string")},
    "PodSandboxStatusRequest": {"pod_sandbox_id": (1, "string")},
    "PodSandboxStatusResponse": {"status": (1, "PodSandboxStatus")},
    "PodSandboxStatus": {"network": (5, "PodSandboxNetworkStatus")},
    "PodSandboxNetworkStatus": {"ip": (1, "string"), "additional_ips": (2, ["PodIP"])},
    "PodIP": {"ip": (1, "string")},
    "StopPodSandboxRequest": {"pod_sandbox_id": (1, "string")},
    "RemovePodSandboxRequest": {"pod_sandbox_id": (1, "string")},
    "ListPodSandboxResponse": {"items": (1, ["PodSandbox"])},
    "PodSandbox": {"id": (1, "string")},
}
EMPTY = (
    *("StatusRequest", "ListPodSandboxRequest"),
    *("StopPodSandboxResponse", "RemovePodSandboxResponse"),
)


def _classes() -> dict[str, Any]:
    """Return the class of every message."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="cri.proto", package=PACKAGE, syntax="proto3")
    for name, fields in {**MESSAGES, **{name: {} for name in EMPTY}}.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            (one,) = kind if isinstance(kind, list) else (kind,)
            label = kinds.LABEL_REPEATED if isinstance(kind, list) else kinds.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if one in MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{PACKAGE}.{one}"
            else:
                added.type = kinds.Type.Value(f"TYPE_{one.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes: dict[str, Any] = message_factory.GetMessageClassesForFiles([file.name], pool)
    return classes


class RefusedError(Exception):
    """The runtime's error, in its words."""


class Cri:
    """A runtime's CRI at a socket; calls may come from several threads."""

    def __init__(self, socket: str) -> None:
        self._classes = _classes()
        self._channel = grpc.insecure_channel(f"unix:{socket}")

    def call(self, method: str, *, service: str = "RuntimeService", **fields: Any) -> Any:
        """Call a method with the fields of its request, and return those of its response.

        Raises:
            RefusedError: the runtime does not do it.
        """
        request = self._classes[f"{PACKAGE}.{method}Request"]()
        ask = self._channel.unary_unary(
            f"/{PACKAGE}.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=self._classes[f"{PACKAGE}.{method}Response"].FromString,
        )
        json_format.ParseDict(fields, request)
        try:
            response = ask(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise RefusedError(error.details()) from None
        return json_format.MessageToDict(response, preserving_proto_field_name=True)

    def ready(self) -> bool:
        """Tell whether the runtime answers, and runtime and network are ready."""
        try:
            status = self.call("Status")["status"]
        except RefusedError:
            return False
        return all(condition.get("status") for condition in status["conditions"])

    def has_image(self, name: str) -> bool:
        """Tell whether the runtime knows an image."""
        image = {"image": name}
        return "image" in self.call("ImageStatus", service="ImageService", image=image)

    def run(self, name: str, handler: str = "", **config: Any) -> str:
        """Run a sandbox as a pod of this name; return its ID."""
        config["metadata"] = {"name": name, "uid": name, "namespace": "default"}
        answer = self.call("RunPodSandbox", config=config, runtime_handler=handler)
        return str(answer["pod_sandbox_id"])

    def ips(self, sandbox: str) -> list[str]:
        """Return the addresses in a sandbox's status, the main one first."""
        network = self.call("PodSandboxStatus", pod_sandbox_id=sandbox)["status"]["network"]
        others = [one["ip"] for one in network.get("additional_ips", ())]
        return [ip for ip in [network.get("ip", ""), *others] if ip]

    def stop(self, sandbox: str) -> None:
        """Stop a sandbox, which detaches it."""
        self.call("StopPodSandbox", pod_sandbox_id=sandbox)

    def remove(self, sandbox: str) -> None:
        """Remove a sandbox that was stopped."""
        self.call("RemovePodSandbox", pod_sandbox_id=sandbox)

    def sandboxes(self) -> list[str]:
        """Return the IDs of all sandboxes, whatever their state."""
        found = self.call("ListPodSandbox")
        return [one["id"] for one in found.get("items", ())]

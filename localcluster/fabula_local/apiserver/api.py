"""From a request in the API's terms to its answer: the verbs on resources and their subresources."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from fabula_local.apiserver import codec, discovery
from fabula_local.apiserver.auth import TokenSigner
from fabula_local.apiserver.auth.reviews import Reviews, request_token
from fabula_local.apiserver.call import Answer, Call
from fabula_local.apiserver.config import ServerConfig
from fabula_local.apiserver.conversion import from_storage
from fabula_local.apiserver.deleting import delete
from fabula_local.apiserver.errors import bad_request, invalid, method_not_allowed, no_such_path, not_found
from fabula_local.apiserver.kubelet_logs import kubelet_log
from fabula_local.apiserver.listing import Lister, select
from fabula_local.apiserver.logs import log_request, read_log, writer_ended
from fabula_local.apiserver.patching import check_name, patch
from fabula_local.apiserver.pods import bind
from fabula_local.apiserver.registry import storage_key
from fabula_local.apiserver.representation import PLAIN, Form, encode, negotiate, shaped
from fabula_local.apiserver.scaling import scale_of, set_scale
from fabula_local.apiserver.selectors import selector_of
from fabula_local.apiserver.store import Stored
from fabula_local.apiserver.watching import watch, watch_request
from fabula_local.apiserver.writing import Writer, present
from fabula_local.resource import Resource
from fabula_local.schema.errors import invalid as invalid_value
from fabula_local.schema.merge import json_patch, merge_patch


@dataclass
class Reply:
    """A finished answer."""

    code: int
    body: bytes
    media: str = "application/json"


@dataclass
class Stream:
    """An answer that goes on."""

    frames: AsyncIterator[bytes]
    media: str = "application/json"


@dataclass
class Api:
    """The verbs; each ends in one step on the store, or in a stream that reads it."""

    config: ServerConfig
    writer: Writer
    lister: Lister
    signer: TokenSigner
    reviews: Reviews
    closing: bool = field(default=False)

    def handle(self, call: Call) -> Reply | Stream:
        """Answer a request for a resource; raises ApiError."""
        info = call.info
        resource = self.writer.registry.find(info.group, info.version, info.resource)
        if resource is None:
            raise no_such_path()
        if info.namespace and not resource.namespaced:
            # A namespace's own path names it twice, for authorization; it is kept at cluster scope like the rest.
            info = call.info = replace(info, namespace="")
        form = negotiate(call.headers.get("Accept", ""), call.query.get("includeObject", ""))
        if info.subresource:
            return self._subresource(call, resource, form)
        if info.verb not in resource.verbs:
            raise method_not_allowed()
        match info.verb:
            case "list":
                return Reply(200, self.lister.answer(call, resource, form), form.media)
            case "watch":
                return self._watch(call, resource, form)
            case "get" if call.flag("watch"):
                return self._watch(call, resource, form)
            case "deletecollection":
                return self._delete_collection(call, resource, form)
        return _reply(self._object_verb(call, resource), resource, form)

    def _object_verb(self, call: Call, resource: Resource) -> Answer:
        info = call.info
        if info.verb in ("create", "update", "patch"):
            call.check_write_options()
        if info.verb == "create":
            if info.name:
                raise method_not_allowed()
            return self._create(call, resource)
        if resource.namespaced and not info.namespace:
            raise no_such_path()
        if info.verb == "patch":
            return patch(self.writer, call, resource)
        stored = self._stored(resource, info.namespace, info.name)
        if info.verb == "get":
            return present(resource, stored)
        if info.verb == "update":
            return self._update(call, resource, stored, "")
        return delete(self.writer, call, resource, stored, codec.read_delete_options(call))

    def _create(self, call: Call, resource: Resource) -> Answer:
        obj = codec.read_object(call, resource)
        if not resource.storage:
            return Answer(self.reviews.answer(call, resource, obj), 201)
        if unknown := self.writer.read_fields(call, resource, obj):
            raise codec.strict_error(resource, unknown)
        namespace = call.info.namespace
        if resource.namespaced and not namespace:
            raise method_not_allowed()
        return self.writer.create(call, resource, namespace, obj)

    def _update(self, call: Call, resource: Resource, stored: Stored, subresource: str) -> Answer:
        obj = codec.read_object(call, resource)
        check_name(call, obj)
        if resource.custom and not obj["metadata"].get("resourceVersion"):
            unversioned = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(resource, stored.name, [unversioned])
        if unknown := self.writer.read_fields(call, resource, obj):
            raise codec.strict_error(resource, unknown)
        return self.writer.update(call, resource, stored, obj, subresource, replaced=True)

    def _stored(self, resource: Resource, namespace: str, name: str) -> Stored:
        stored = self.writer.store.get(storage_key(resource), namespace, name)
        if stored is None:
            raise not_found(resource, name)
        return stored

    def _watch(self, call: Call, resource: Resource, form: Form) -> Stream:
        asked = watch_request(call, resource, form)
        registry = self.writer.registry

        def ended() -> bool:
            return self.closing or registry.find(resource.group, resource.version, resource.plural) is None

        return Stream(
            watch(self.writer.store, asked, ended), f"{form.media};stream=watch" if form.plain else form.media
        )

    def _delete_collection(self, call: Call, resource: Resource, form: Form) -> Reply:
        options = codec.read_delete_options(call)
        selector = selector_of(resource, call.query.get("labelSelector", ""), call.query.get("fieldSelector", ""))
        objects = select(self.writer.store, resource, call.info.namespace, selector)
        for stored in objects:
            delete(self.writer, call, resource, stored, options)
        items = [from_storage(resource, stored.copy()) for stored in objects]
        metadata = {"resourceVersion": str(self.writer.store.revision)}
        body = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
        return Reply(200, encode(body, form), form.media)

    def _subresource(self, call: Call, resource: Resource, form: Form) -> Reply | Stream:
        info, name = call.info, call.info.subresource
        if name not in resource.subresources or name not in discovery.SERVED_SUBRESOURCES:
            raise no_such_path()
        if name == "token" and info.verb == "create":
            asked = codec.decode(call.body, call.content_type)
            asked.setdefault("metadata", {})
            answer = request_token(self.writer.store, self.signer, resource, info.namespace, info.name, asked)
            return Reply(201, encode(answer))
        if name == "status" and info.verb == "patch":
            return _reply(patch(self.writer, call, resource, "status"), resource, form)
        stored = self._stored(resource, info.namespace, info.name)
        match name, info.verb:
            case "log", "get":
                asked_log = log_request(call, stored, self.config.pod_logs)
                if asked_log is None:
                    return Reply(204, b"", "text/plain")
                elsewhere = kubelet_log(self.writer.store, call, stored, asked_log)
                if elsewhere is not None and not asked_log.path.exists():
                    return Stream(elsewhere, "text/plain")
                over = writer_ended(self.writer.store, stored, asked_log.path)
                return Stream(read_log(asked_log, lambda: self.closing or over()), "text/plain")
            case "status", "get":
                return _reply(present(resource, stored), resource, form)
            case "status", "update":
                return _reply(self._update(call, resource, stored, "status"), resource, form)
            case "scale", "get":
                return Reply(200, encode(scale_of(resource, stored.obj)))
            case "scale", "update":
                scale = codec.decode(call.body, call.content_type)
                return _reply(set_scale(self.writer, call, resource, stored, scale), None, PLAIN)
            case "scale", "patch":
                return self._patch_scale(call, resource, stored)
            case "binding", "create":
                return _reply(bind(self.writer, call, resource, stored, self._body(call)), None, PLAIN)
            case "finalize", "update":
                return _reply(self._finalize(call, resource, stored), resource, form)
        raise method_not_allowed()

    def _patch_scale(self, call: Call, resource: Resource, stored: Stored) -> Reply:
        scale, change = scale_of(resource, stored.obj), codec.decode(call.body, call.content_type)
        scale["metadata"].pop("resourceVersion", None)
        changed = json_patch(scale, change) if isinstance(change, list) else merge_patch(scale, change)
        return _reply(set_scale(self.writer, call, resource, stored, changed), None, PLAIN)

    def _finalize(self, call: Call, resource: Resource, stored: Stored) -> Answer:
        obj, asked = stored.copy(), codec.read_object(call, resource)
        obj["spec"]["finalizers"] = (asked.get("spec") or {}).get("finalizers") or []
        return self.writer.save(call, resource, obj)

    def _body(self, call: Call) -> dict[str, object]:
        body = codec.decode(call.body, call.content_type)
        if not isinstance(body, dict):
            raise bad_request("the body must be an object")
        body.setdefault("metadata", {})
        return body


def _reply(answer: Answer, resource: Resource | None, form: Form) -> Reply:
    if form.plain:
        return Reply(answer.code, answer.raw or encode(answer.obj))
    obj = shaped(answer.obj, resource, form)
    return Reply(answer.code, encode(obj, form), form.media)

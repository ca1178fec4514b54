"""What `app.run(detach=True)` and `spawn` call: 13 RPCs, and secrets by name."""

import asyncio

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from tests.modal.plane.rpc import Part, unary
from tests.modal.plane.state import App, Call, Function, Image, Volume

BUILDER = "2025.06"


class Launch(Part):
    @unary
    async def AppCreate(self, r):
        app = App(self.state.id("ap"), r.description, r.app_state)
        self.state.apps[app.id] = app
        page = f"{self.state.http}/apps/{app.id}"
        return pb.AppCreateResponse(app_id=app.id, app_page_url=page, app_logs_url=page)

    @unary
    async def AppHeartbeat(self, r):
        return Empty()

    @unary
    async def EnvironmentGetOrCreate(self, r):
        settings = pb.EnvironmentSettings(image_builder_version=BUILDER)
        metadata = pb.EnvironmentMetadata(name=r.deployment_name or "main", settings=settings)
        return pb.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata)

    @unary
    async def FunctionPrecreate(self, r):
        handle = self._handle(r.function_name, r.function_type)
        return pb.FunctionPrecreateResponse(function_id=self.state.id("fu"), handle_metadata=handle)

    @staticmethod
    def _handle(name, kind):
        return pb.FunctionHandleMetadata(
            function_name=name,
            function_type=kind,
            supported_input_formats=[pb.DATA_FORMAT_PICKLE],
            supported_output_formats=[pb.DATA_FORMAT_PICKLE],
        )

    @unary
    async def MountBatchedCheckExistence(self, r):
        missing = [digest for digest in r.sha256_hex_hashes if digest not in self.state.mounted]
        return pb.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    @unary
    async def MountPutFile(self, r):
        if r.data or r.data_blob_id:
            self.state.mounted.add(r.sha256_hex)
            self.state.keep(r.sha256_hex, r.data)
        return pb.MountPutFileResponse(exists=r.sha256_hex in self.state.mounted)

    @unary
    async def MountGetOrCreate(self, r):
        handle = pb.MountHandleMetadata(content_checksum_sha256_hex="0" * 64)
        id = self.state.id("mo")
        self.state.mounts[id] = {file.filename: file.sha256_hex for file in r.files}
        return pb.MountGetOrCreateResponse(mount_id=id, handle_metadata=handle)

    @unary
    async def ImageGetOrCreate(self, r):
        if any("FAIL THE BUILD" in command for command in r.image.dockerfile_commands):
            result = pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_FAILURE, exception="exit code 1")
        else:
            result = pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_SUCCESS)
        metadata = pb.ImageMetadata(image_builder_version=BUILDER)
        bases = [self.state.images[one.image_id] for one in r.image.base_images]
        made, id = Image([*r.image.dockerfile_commands], {}), self.state.id("im")
        for one in bases:
            made = Image(one.commands + made.commands, one.files | made.files)
        made.files.update(self.state.mounts.get(r.image.context_mount_id, {}))
        self.state.images[id] = made
        return pb.ImageGetOrCreateResponse(image_id=id, result=result, metadata=metadata)

    @unary
    async def SecretGetOrCreate(self, r):
        if r.deployment_name.startswith("no-"):
            raise GRPCError(Status.NOT_FOUND, f"Secret '{r.deployment_name}' not found in environment 'main'")
        return pb.SecretGetOrCreateResponse(secret_id=self.state.id("st"))

    @unary
    async def VolumeGetOrCreate(self, r):
        volumes, name = self.state.volumes, r.deployment_name
        if name not in volumes and r.object_creation_type == pb.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise GRPCError(Status.NOT_FOUND, f"Volume '{name}' not found in environment 'main'")
        found = volumes.setdefault(name, Volume(self.state.id("vo"), name))
        metadata = pb.VolumeMetadata(version=pb.VOLUME_FS_VERSION_V2, name=name)
        return pb.VolumeGetOrCreateResponse(
            volume_id=found.id, version=pb.VOLUME_FS_VERSION_V2, metadata=metadata
        )

    @unary
    async def FunctionCreate(self, r):
        # A newer client sends `function_data` for several GPU types; its first rank is the function then.
        ranked = [one.function for one in r.function_data.ranked_functions]
        definition = ranked[0] if ranked else r.function
        handle = self._handle(definition.function_name, definition.function_type)
        handle.definition_id = self.state.id("de")
        id = r.existing_function_id or self.state.id("fu")
        self.state.functions[id] = Function(id, r.app_id, definition, handle)
        data = pb.FunctionData(
            module_name=definition.module_name,
            function_name=definition.function_name,
            function_type=definition.function_type,
            ranked_functions=[pb.FunctionData.RankedFunction(rank=0, function=definition)],
        )
        return pb.FunctionCreateResponse(
            function_id=id, function=definition, function_data=data, handle_metadata=handle
        )

    @unary
    async def AppPublish(self, r):
        self.state.apps[r.app_id].functions = dict(r.function_ids)
        return pb.AppPublishResponse(url=f"{self.state.http}/apps/{r.app_id}")

    @unary
    async def FunctionMap(self, r):
        call = Call(self.state.id("fc"), r.function_id, self.state.id("in"), r.pipelined_inputs[0])
        self.state.calls[call.id] = call
        await asyncio.sleep(self.state.hold_s)
        item = pb.FunctionPutInputsResponseItem(idx=0, input_id=call.input_id, input_jwt="jwt")
        return pb.FunctionMapResponse(function_call_id=call.id, pipelined_inputs=[item])

    @unary
    async def AppClientDisconnect(self, r):
        app = self.state.apps[r.app_id]
        is_detached = app.state == pb.APP_STATE_DETACHED
        app.state = pb.APP_STATE_DETACHED_DISCONNECTED if is_detached else pb.APP_STATE_STOPPED
        return Empty()

"""What a collector calls: outcome, call graph, volume, logs, cancel, lifecycle."""

import asyncio
import time

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from tests.modal import container
from tests.modal.plane.rpc import Part, listing, unary
from tests.modal.plane.state import BLOCK, Stored

STATUS = pb.GenericResult
SOURCES = {
    pb.FILE_DESCRIPTOR_STDOUT: "stdout_logs",
    pb.FILE_DESCRIPTOR_STDERR: "stderr_logs",
    pb.FILE_DESCRIPTOR_INFO: "system_logs",
}


class Collect(Part):
    @unary
    async def FunctionGetOutputs(self, r):
        call, end = self.state.call(r.function_call_id), time.monotonic() + r.timeout
        while call.output is None and not call.is_expired and time.monotonic() < end:
            await asyncio.sleep(0.02)
        if call.is_expired:
            return pb.FunctionGetOutputsResponse(num_unfinished_inputs=0)
        if call.output is None:
            return pb.FunctionGetOutputsResponse(num_unfinished_inputs=1)
        return pb.FunctionGetOutputsResponse(outputs=[call.output], num_unfinished_inputs=0)

    @unary
    async def FunctionGetCallGraph(self, r):
        call = self.state.call(r.function_call_id)
        status = call.output.result.status if call.output else STATUS.GENERIC_STATUS_UNSPECIFIED
        seen = pb.InputCallGraphInfo(
            input_id=call.input_id, status=status, function_call_id=call.id, task_id=call.task
        )
        made = self.state.functions[call.function].definition
        of = pb.FunctionCallCallGraphInfo(
            function_call_id=call.id, function_name=made.function_name, module_name=made.module_name
        )
        return pb.FunctionGetCallGraphResponse(inputs=[seen], function_calls=[of])

    @unary
    async def FunctionCallFromId(self, r):
        call = self.state.call(r.function_call_id)
        metadata = pb.FunctionCallHandleMetadata(
            app_id=self.state.functions[call.function].app, function_id=call.function
        )
        return pb.FunctionCallFromIdResponse(function_call_id=call.id, num_inputs=1, metadata=metadata)

    @unary
    async def FunctionCallCancel(self, r):
        call = self.state.call(r.function_call_id)
        call.is_cancelled = True
        if call.is_waiting and call.output is None:  # no container has it: there is nobody to tell
            self.state.finish(call, STATUS.GENERIC_STATUS_TERMINATED, "Function call was cancelled")
        elif r.terminate_containers and call.output is None:
            container.end(self.state.folder / call.task)
            self.state.finish(call, STATUS.GENERIC_STATUS_TERMINATED, "Function call was cancelled")
        return Empty()

    @unary
    async def AppStop(self, r):
        self.state.apps[r.app_id].state = pb.APP_STATE_STOPPED
        for call in self.state.calls.values():
            if self.state.functions[call.function].app == r.app_id and call.output is None:
                self.state.finish(call, STATUS.GENERIC_STATUS_TERMINATED, "App was stopped")
        return Empty()

    @unary
    async def AppGetLifecycle(self, r):
        return pb.AppGetLifecycleResponse(
            lifecycle=pb.AppLifecycle(app_state=self.state.apps[r.app_id].state)
        )

    # Volumes

    @listing
    async def VolumeListFiles2(self, r):
        files, top = self.state.volume(r.volume_id).files, r.path.strip("/")
        inside = {path: file for path, file in files.items() if not top or f"{path}/".startswith(f"{top}/")}
        if top and not inside:
            raise GRPCError(Status.NOT_FOUND, f"{r.path}: no such file or directory")
        entries = [
            pb.FileEntry(path=path, type=pb.FileEntry.FileType.FILE, mtime=int(file.mtime), size=file.size)
            for path, file in sorted(inside.items())
        ]
        return [pb.VolumeListFiles2Response(entries=entries)]

    @unary
    async def VolumeGetFile2(self, r):
        file = self.state.volume(r.volume_id).files.get(r.path.strip("/"))
        if file is None:
            raise GRPCError(Status.NOT_FOUND, f"{r.path}: no such file")
        urls = [f"{self.state.http}/blocks/{digest}" for digest in file.blocks]
        return pb.VolumeGetFile2Response(get_urls=urls, size=file.size, start=0, len=file.size)

    @unary
    async def VolumePutFiles2(self, r):
        missing = [
            pb.VolumePutFiles2Response.MissingBlock(
                file_index=num, block_index=at, put_url=f"{self.state.http}/blocks/{digest}"
            )
            for num, file in enumerate(r.files)
            for at, block in enumerate(file.blocks)
            if not self.state.block(digest := block.contents_sha256.hex()).exists()
        ]
        if not missing:
            for file in r.files:
                digests = [block.contents_sha256.hex() for block in file.blocks]
                assert len(digests) == -(-file.size // BLOCK), "a block is missing or too many"
                stored = Stored(file.size, digests, time.time())
                self.state.volume(r.volume_id).files[file.path.strip("/")] = stored
        return pb.VolumePutFiles2Response(missing_blocks=missing)

    @unary
    async def VolumeRemoveFile2(self, r):
        files, path = self.state.volume(r.volume_id).files, r.path.strip("/")
        gone = [name for name in files if name == path or (r.recursive and name.startswith(f"{path}/"))]
        if not gone:
            raise GRPCError(Status.NOT_FOUND, f"{r.path}: no such file or directory")
        for name in gone:
            del files[name]
        return Empty()

    # Logs

    def _logs(self, r):
        sources = {pb.FILE_DESCRIPTOR_UNSPECIFIED, *SOURCES} if not r.source else {r.source}
        return [
            line
            for line in self.state.logs
            if line.file_descriptor in sources
            and r.function_call_id in ("", line.function_call_id)
            and r.search_text in line.data
            and (not r.since.seconds or line.timestamp_ns >= r.since.ToNanoseconds())
            and (not r.until.seconds or line.timestamp_ns < r.until.ToNanoseconds())
        ]

    @unary
    async def AppFetchLogs(self, r):
        lines = self._logs(r)
        batch = pb.TaskLogsBatch(items=lines[-r.limit :] if r.limit else lines)
        return pb.AppFetchLogsResponse(batches=[batch] if lines else [])

    @unary
    async def AppCountLogs(self, r):
        width, buckets = r.bucket_secs or 60, {}
        for line in self._logs(r):
            begin = int(line.timestamp) // width * width
            bucket = buckets.setdefault(begin, pb.AppCountLogsResponse.LogBucket())
            bucket.bucket_start_at.FromSeconds(begin)
            name = SOURCES[line.file_descriptor]
            setattr(bucket, name, getattr(bucket, name) + 1)
        return pb.AppCountLogsResponse(app_id=r.app_id, buckets=[buckets[key] for key in sorted(buckets)])

"""What the container's runtime calls: 5 RPCs, one more in a cluster. And the arguments it is started with."""

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2 as pb

from tests.modal.plane.rpc import Part, unary
from tests.modal.plane.state import Call, State


class Inside(Part):
    @unary
    async def ContainerHello(self, r):
        return Empty()

    @unary
    async def ContainerHeartbeat(self, r):
        told = [call.input_id for call in self.state.calls.values() if call.is_cancelled and not call.output]
        if not told:
            return pb.ContainerHeartbeatResponse()
        return pb.ContainerHeartbeatResponse(cancel_input_event=pb.CancelInputEvent(input_ids=told))

    @unary
    async def TaskClusterHello(self, r):
        """Which place a container has in its cluster."""
        clusters = [call.cluster for call in self.state.calls.values() if call.cluster]
        [cluster] = [one for one in clusters if r.task_id in one.tasks]
        index, addresses = cluster.tasks.index(r.task_id), cluster.addresses()
        assert r.container_ip == addresses[index]
        return pb.TaskClusterHelloResponse(cluster_id=cluster.id, cluster_rank=index, container_ips=addresses)

    @unary
    async def FunctionGetInputs(self, r):
        for call in self.state.calls.values():
            if call.function == r.function_id and call.output is None and self._takes(call):
                item = pb.FunctionGetInputsItem(
                    input_id=call.input_id,
                    input=call.given.input,
                    function_call_id=call.id,
                    function_call_invocation_type=pb.FUNCTION_CALL_INVOCATION_TYPE_ASYNC,
                )
                return pb.FunctionGetInputsResponse(inputs=[item])
        return pb.FunctionGetInputsResponse(inputs=[pb.FunctionGetInputsItem(kill_switch=True)])

    def _takes(self, call: Call) -> bool:
        """Whether who asks gets the input; in a cluster each container gets it once."""
        if call.cluster is None:
            is_for_it, call.is_waiting = call.is_waiting, False
            return is_for_it
        is_for_it = self.task in call.cluster.waiting
        call.cluster.waiting.discard(self.task)
        return is_for_it

    @unary
    async def FunctionPutOutputs(self, r):
        for put in r.outputs:
            for call in self.state.calls.values():
                if call.cluster and self.task in call.cluster.tasks[1:]:
                    call.others[self.task] = put.result
                elif call.input_id == put.input_id and call.output is None:
                    call.output = pb.FunctionGetOutputsItem(
                        result=put.result,
                        idx=0,
                        input_id=put.input_id,
                        data_format=put.data_format,
                        task_id=call.task,
                    )
        return Empty()

    @unary
    async def VolumeCommit(self, r):
        return pb.VolumeCommitResponse(skip_reload=True)

    @unary
    async def TaskResult(self, r):
        for call in self.state.calls.values():
            if call.output is None and not call.is_waiting:
                self.state.finish(call, r.result.status, r.result.exception)
        return Empty()


def arguments(state: State, call: Call, task: str) -> bytes:
    """One serialized `ContainerArguments`: what a container is to run. Dependencies keep their order."""
    function = state.functions[call.function]
    objects = [pb.Object(object_id=function.id, function_handle_metadata=function.handle)]
    for needed in function.definition.object_dependencies:
        id = needed.object_id
        if id.startswith("vo-"):
            volume = pb.VolumeMetadata(version=pb.VOLUME_FS_VERSION_V2, name=state.volume(id).name)
            objects.append(pb.Object(object_id=id, volume_metadata=volume))
        elif id.startswith("mo-"):
            objects.append(pb.Object(object_id=id, mount_handle_metadata=pb.MountHandleMetadata()))
        else:
            objects.append(pb.Object(object_id=id))
    layout = pb.AppLayout(function_ids=state.apps[function.app].functions, objects=objects)
    return pb.ContainerArguments(
        task_id=task,
        function_id=function.id,
        app_id=function.app,
        function_def=function.definition,
        environment_name="main",
        app_layout=layout,
    ).SerializeToString()

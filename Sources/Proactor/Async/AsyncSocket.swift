/// A handle on a loop, closed with its last reference: what all sockets of the async face have in common.
final class AsyncSocket: Sendable {
    let loop: ProactorLoop
    let handle: Handle

    init(_ loop: ProactorLoop, _ handle: Handle) {
        self.loop = loop
        self.handle = handle
    }

    deinit { loop.core.post(.close(handle, nil)) }

    nonisolated(nonsending) func inbound(
        _ action: LoopOperation.Action, until deadline: Deadline?
    ) async -> LoopAnswer {
        await loop.core.perform(action, .inbound(handle), until: deadline)
    }

    nonisolated(nonsending) func outbound(
        _ action: LoopOperation.Action, until deadline: Deadline?
    ) async throws(LoopError) {
        let answer = await loop.core.perform(action, .outbound(handle), until: deadline)
        if case .failed(let error) = answer { throw error }
    }

    nonisolated(nonsending) func call(_ call: LoopRequest.Call) async throws(LoopError) -> LoopAnswer {
        let answer = await loop.core.ask { .call(self.handle, call, $0) }
        if case .failed(let error) = answer { throw error }
        return answer
    }

    nonisolated(nonsending) func close() async {
        _ = await loop.core.ask { .close(self.handle, $0) }
    }
}

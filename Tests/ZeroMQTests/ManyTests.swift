import Proactor
import Testing

@testable import ZeroMQ

extension Sockets {
    /// What is done to many at once costs a step for each, not one for each pair.
    @Suite("Many at once") struct ManyTests {
        @Test("Pipes that come and go together are settled in a few visits each")
        func settling() {
            let count = 5000
            var side = SendSide(losses: LossCounters())
            let loop = ReadyList()
            let pool = ChunkPool()
            let pipes = (0..<count).map { _ in
                Pipe(mark: 1, byteMark: 0, pool: pool, readerList: loop, writerList: side.list)
            }
            func tell(_ reason: ReadyReasons) { for pipe in pipes { _ = pipe.notifyWriter(reason) } }
            tell(.attached)
            // Each takes one message and is at its mark.
            for _ in 0..<count {
                guard let pipe = side.choose() else {
                    return #expect(Bool(false), "a pipe with room is not chosen")
                }
                pipe.writer.pointee.put([], UnsafeRawBufferPointer(start: nil, count: 0))
                _ = pipe.writer.pointee.publish(keep: false)
            }
            #expect(side.choose() == nil)
            tell(.room)
            side.settle()
            tell(.ended)
            side.settle()
            #expect(pipes.allSatisfy { !side.contains($0) })
            #expect(side.choose() == nil)
            // Come, unblocked, gone: each looked at three times as news and a few times in the lists.
            #expect((3 * count...8 * count).contains(side.visits), "\(side.visits) visits")
            loop.close()
        }

        @Test("Thousands of sockets on one loop close, whatever they have", arguments: Setup.engines)
        func closing(setup: Setup) throws {
            let context = try setup.context()
            var sockets: [Socket] = []
            for number in 0..<5000 {
                let pull = try PullSocket(context, .test)
                try pull.bind("inproc://\(number)")
                sockets.append(pull)
                if number % 10 == 0 {
                    let push = try PushSocket(context, .test)
                    try push.connect("inproc://\(number)")
                    try pull.bind(setup.wildcard)
                    sockets.append(push)
                }
            }
            for socket in sockets { socket.close() }
            #expect(context.close(timeout: .seconds(20)).isComplete)
        }

        private struct Weak { weak var pipe: Pipe? }

        @Test("A socket that only receives keeps nothing of peers that have gone", arguments: Setup.engines)
        func departed(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let endpoint = try router.bind(setup.wildcard)
            var pipes: [Weak] = []
            for _ in 0..<40 {
                let peers = try (0..<10).map { _ in try RawPeer(endpoint) }
                for (number, peer) in peers.enumerated() {
                    try peer.shakeHands(as: "DEALER")
                    try peer.send(RawPeer.frame([UInt8(number)]))
                }
                for _ in peers { _ = try router.receive() }
                pipes += router.core.registry.withLock { registry in
                    registry.connections.values.map { Weak(pipe: $0.outbound) }
                }
                _ = consume peers
                try router.awaitPeers(0, in: context)
            }
            let isGone = context.eventually { pipes.count { $0.pipe != nil } <= 65 }
            #expect(pipes.count == 400)
            #expect(isGone, "\(pipes.count { $0.pipe != nil }) pipes of departed peers are left")
            // It sends as ever to who is there.
            let peer = try RawPeer(endpoint)
            try peer.shakeHands(as: "DEALER", identity: "late")
            try router.awaitPeers(1, in: context)
            try router.send(Message(frames: [Frame("late"), Frame("hello")]))
            #expect(try peer.receiveFrame().body == Array("hello".utf8))
            context.close()
        }

        @Test("A list that is swept while others push and take loses no news and no pipe")
        func sweeping() {
            let (list, loop, pool) = (ReadyList(), ReadyList(), ChunkPool())
            let rounds = 20_000
            let (isOver, attached) = (Shared(false), Shared(0))
            let live = (0..<4).map { _ in
                Pipe(mark: 1, byteMark: 0, pool: pool, readerList: loop, writerList: list)
            }
            let pushers = (0..<2).map { half in
                Worker {
                    for _ in 0..<rounds {
                        let pipe = Pipe(mark: 1, byteMark: 0, pool: pool, readerList: loop, writerList: list)
                        list.wake(pipe.notifyWriter(.attached))
                        list.wake(live[half].notifyWriter(.attached))
                        list.wake(pipe.notifyWriter(.ended))
                        list.wake(live[half + 2].notifyWriter(.room))
                    }
                }
            }
            let sweeper = Worker { while !isOver.value { list.sweep([.attached, .ended]) } }
            let taker = Worker {
                while true {
                    let isLast = isOver.value
                    var seen = 0
                    _ = list.takeAlone { _, reasons, owner in
                        let pipe = owner!.takeRetainedValue()
                        if live.contains(where: { $0 === pipe }) { seen += 1 }
                    }
                    attached.change { $0 += seen }
                    if isLast { return }
                }
            }
            for pusher in pushers { #expect(pusher.join()) }
            for pipe in live { _ = pipe.notifyWriter(.room) }
            isOver.value = true
            #expect(sweeper.join() && taker.join())
            #expect(attached.value >= 4)
            #expect(!list.hasNews)
        }
    }
}

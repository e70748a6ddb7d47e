import Testing
import ZeroMQ

extension Sockets {
    @Suite("Multipart messages") struct MultipartTests {
        @Test("All frames arrive together and in order", arguments: Setup.all)
        func whole(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let pull = try PullSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            for parts in [1, 2, 3, 100, 5000] {
                let message = Message(frames: (0..<parts).map { Frame("part \($0) of \(parts)") })
                try push.send(message)
                #expect(try pull.receive() == message)
            }
            let mixed: Message = [
                "", Frame([UInt8](repeating: 1, count: 100_000)), "", Frame([UInt8](repeating: 2, count: 40_000)),
                "end",
            ]
            try push.send(mixed)
            #expect(try pull.receive() == mixed)
            context.close()
        }

        @Test(
            "Nothing of a message whose peer dies midway is delivered; it is counted once", arguments: Setup.engines
        )
        func peerDies(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            let rest = [UInt8](repeating: 3, count: 70_000)
            let halves: [[UInt8]] = [
                RawPeer.frame([1], flags: 1),
                RawPeer.frame([1], flags: 1) + RawPeer.frame([2]).dropLast(),
                RawPeer.frame([1], flags: 1) + [0],
                RawPeer.frame(rest, flags: 1) + RawPeer.frame(rest).dropLast(100),
                Array(RawPeer.frame(rest).dropLast(1)),
                [0, 200, 1, 2, 3],
            ]
            for (index, half) in halves.enumerated() {
                do {
                    let peer = try RawPeer(endpoint)
                    try peer.shakeHands(as: "PUSH")
                    try peer.send(RawPeer.frame(Array("whole \(index)".utf8)) + half)
                    #expect(try pull.receive().string == "whole \(index)")
                }
                let isCounted = context.eventually { pull.statistics.losses[.cutShort] == index + 1 }
                #expect(isCounted, "case \(index): \(pull.statistics.losses)")
                #expect(try pull.tryReceive() == nil)
            }
            context.close()
        }
    }
}

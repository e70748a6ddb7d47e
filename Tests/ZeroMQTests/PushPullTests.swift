import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("PUSH and PULL") struct PushPullTests {
        @Test("Messages arrive once each and in order", arguments: Setup.all)
        func order(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            for lot in 0..<20 {
                for number in lot * 250..<(lot + 1) * 250 { try push.send("message \(number)") }
                for number in lot * 250..<(lot + 1) * 250 {
                    #expect(try pull.receive().string == "message \(number)")
                }
            }
            #expect(try pull.tryReceive() == nil)
            #expect(context.close().description == "closed")
        }

        @Test("Bodies of every size arrive unchanged", arguments: Setup.all)
        func sizes(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            for size in [
                0, 1, 63, 64, 65, 254, 255, 256, 1023, 8192, 32767, 32768, 65535, 65536, 1 << 20, 3_000_000,
            ] {
                var body = [UInt8](repeating: UInt8(truncatingIfNeeded: size), count: size)
                for index in stride(from: 0, to: size, by: 1 + size / 500) {
                    body[index] = UInt8(truncatingIfNeeded: index)
                }
                // By reference from 32 KiB up, and copied out of an array.
                try push.send(Message(body))
                try push.send(body)
                #expect(try pull.receive().bytes == body)
                #expect(try pull.receive().bytes == body)
            }
            context.close()
        }

        @Test("Nothing is received where nothing was sent", arguments: Setup.tcp)
        func timeOut(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.receiveTimeout = .milliseconds(20) })
            expectError(.timedOut) { _ = try pull.receive() }
            expectError(.timedOut) { _ = try pull.receive(until: .distantPast) }
            context.close()
        }

        @Test("A borrowing receive lends each frame with its place", arguments: Setup.all)
        func lending(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let large = [UInt8](repeating: 7, count: 50_000)
            try push.send(["a", "", Frame(large)])
            var frames: [([UInt8], Bool)] = []
            try pull.receive { frames.append((Array($0), $1)) }
            #expect(frames.map(\.0) == [[97], [], large])
            #expect(frames.map(\.1) == [true, true, false])
            context.close()
        }

        @Test("PUSH takes no messages and lives with a peer that sends some", arguments: Setup.engines)
        func silentPush(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let peer = try RawPeer(push.bind(setup.wildcard))
            try peer.shakeHands(as: "PULL")
            try peer.send(
                RawPeer.frame([1, 2, 3]) + RawPeer.ping([9]) + RawPeer.frame([UInt8](repeating: 1, count: 300)))
            let pong = try peer.receiveFrame()
            #expect(pong.flags == 4 && pong.body == [4] + Array("PONG".utf8) + [9])
            try push.send("still there")
            #expect(try peer.receiveFrame().body == Array("still there".utf8))
            context.close()
        }
    }
}

import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Linger") struct LingerTests {
        @Test("A socket closed right after its sends delivers them all, and ends soon", arguments: Setup.connected)
        func delivers(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            for round in 0..<3 {
                let push = try PushSocket(context, .test { $0.linger = nil })
                let monitor = push.monitor()
                try push.connect(endpoint)
                for number in 0..<100 { try push.send("\(round) \(number)") }
                push.close()
                for number in 0..<100 { #expect(try pull.receive().string == "\(round) \(number)") }
                // Without a limit to linger only the last byte may end the socket.
                try context.await(monitor, "end of the socket") { $0 == .closed }
            }
            #expect(context.close().description == "closed")
        }

        @Test("Closing the context delivers what is queued", arguments: Setup.connected)
        func contextClose(setup: Setup) throws {
            let receiving = try setup.context()
            let pull = try PullSocket(receiving, .test)
            let endpoint = try pull.bind(setup.wildcard)
            let sending = try setup.context()
            let push = try PushSocket(sending, .test)
            try push.connect(endpoint)
            for number in 0..<10 { try push.send("\(number)") }
            // A caller-driven receiver does not shake hands while the sender closes: it must have come before.
            if setup.drive == .callerDriven {
                _ = receiving.eventually {
                    sending.letOthersWork(); return pull.statistics.peers.count == 1
                }
            }
            let report = sending.close(timeout: .seconds(5))
            #expect(report.isComplete && report.undelivered.isEmpty, "\(report)")
            for number in 0..<10 { #expect(try pull.receive().string == "\(number)") }
            receiving.close()
        }

        @Test("What could not be delivered is reported by endpoint", arguments: Setup.all)
        func undelivered(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.linger = .milliseconds(20) })
            let endpoint = try setup.reserve()
            try push.connect(endpoint)
            for number in 0..<7 { try push.send("\(number)") }
            let report = context.close(timeout: .seconds(5))
            #expect(report.isComplete)
            #expect(report.undelivered.map(\.endpoint) == [endpoint])
            #expect(report.undelivered.map(\.messages) == [7])
        }

        @Test("What an accepted connection did not take is reported too", arguments: Setup.engines)
        func undeliveredOnAccepted(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.linger = .milliseconds(20)
                    $0.kernelSendBuffer = 4096
                })
            let endpoint = try push.bind(setup.wildcard)
            let peer = try RawPeer(endpoint)
            try peer.shakeHands(as: "PULL")
            try push.awaitPeers(1, in: context)
            // The peer takes nothing: the kernel's buffers fill, the rest stays here.
            for _ in 0..<100 { try push.send([UInt8](repeating: 1, count: 200_000)) }
            let waiting = push.statistics.messagesToSend
            #expect(waiting > 0)
            let report = context.close(timeout: .seconds(5))
            #expect(report.undelivered.map(\.endpoint) == [endpoint])
            #expect((1...waiting).contains(report.undelivered.first?.messages ?? 0), "\(report), \(waiting) waited")
            withExtendedLifetime(peer) {}
        }

        @Test("Linger zero gives up at once", arguments: Setup.connected)
        func zero(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test { $0.linger = .zero })
            try push.connect(setup.reserve())
            try push.send("x")
            let start = Deadline.now
            let report = context.close(timeout: .seconds(20))
            #expect(report.undelivered.map(\.messages) == [1])
            #expect(Deadline.now.since(start) < .seconds(5))
        }
    }
}

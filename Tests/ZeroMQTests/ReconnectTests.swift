import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Reconnecting") struct ReconnectTests {
        @Test("Connect may come before bind; what was queued arrives", arguments: Setup.all)
        func connectFirst(setup: Setup) throws {
            let context = try setup.context()
            let endpoint = try setup.reserve()
            let push = try PushSocket(context, .test)
            let monitor = push.monitor()
            try push.connect(endpoint)
            for number in 0..<20 { try push.send("\(number)") }
            if setup.wire != .inproc {
                try context.await(monitor, "retry") { if case .connectRetried = $0 { true } else { false } }
            }
            let pull = try PullSocket(context, .test)
            try pull.bind(endpoint)
            for number in 0..<20 { #expect(try pull.receive().string == "\(number)") }
            context.close()
        }

        @Test("A peer that goes and comes back gets what was sent meanwhile", arguments: Setup.connected)
        func comesBack(setup: Setup) throws {
            let context = try setup.context()
            let endpoint = try setup.reserve()
            let push = try PushSocket(context, .test)
            try push.connect(endpoint)
            for round in 0..<4 {
                let pull = try PullSocket(context, .test)
                let ended = pull.monitor()
                try pull.bind(endpoint)
                try push.awaitPeers(1, in: context)
                for number in 0..<10 { try push.send("\(round) \(number)") }
                for number in 0..<10 { #expect(try pull.receive().string == "\(round) \(number)") }
                pull.close()
                try context.await(ended, "end of the listener") { $0 == .closed }
                try push.awaitPeers(0, in: context)
            }
            #expect(push.statistics.losses.isEmpty)
            context.close(timeout: .milliseconds(100))
        }

        @Test("A half-sent message arrives once and whole on the next connection", arguments: Setup.engines)
        func halfSent(setup: Setup) throws {
            let context = try setup.context()
            let port = try RawPeer.freePort()
            let push = try PushSocket(context, .test { $0.kernelSendBuffer = 8192 })
            try push.connect("tcp://127.0.0.1:\(port)")
            let body = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let message: Message = ["head", Frame(body), "tail"]
            try push.send("first")
            try push.send(message)
            try push.send("last")
            do {
                let server = try RawServer(port: port)
                let peer = try server.accept()
                try peer.shakeHands(as: "PULL")
                #expect(try peer.receiveFrame().body == Array("first".utf8))
                #expect(try peer.receiveFrame().body == Array("head".utf8))
                // Takes part of the body and dies.
                _ = try peer.receive(300_000)
            }
            let server = try RawServer(port: port)
            let peer = try server.accept()
            try peer.shakeHands(as: "PULL")
            #expect(try peer.receiveFrame().body == Array("head".utf8))
            #expect(try peer.receiveFrame().body == body)
            #expect(try peer.receiveFrame().body == Array("tail".utf8))
            #expect(try peer.receiveFrame().body == Array("last".utf8))
            #expect(push.statistics.losses.isEmpty)
            context.close()
        }

        @Test("Pauses double up to their maximum, with up to a quarter more", arguments: Setup.tcp)
        func backOff(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.reconnectInterval = .milliseconds(2)
                    $0.reconnectIntervalMaximum = .milliseconds(16)
                    $0.linger = .zero
                })
            let monitor = push.monitor()
            try push.connect(setup.reserve())
            for expected in [2, 4, 8, 16, 16, 16] {
                let event = try context.await(monitor, "retry") {
                    if case .connectRetried = $0 { true } else { false }
                }
                guard case .connectRetried(let pause) = event.kind else { continue }
                #expect(pause >= .milliseconds(expected) && pause <= .milliseconds(expected) * 5 / 4, "\(pause)")
            }
            context.close()
        }

        @Test(
            "Immediate sockets queue for nobody, and lose what a dead peer had queued", arguments: Setup.connected)
        func immediate(setup: Setup) throws {
            let context = try setup.context()
            let endpoint = try setup.reserve()
            let push = try PushSocket(context, .test { $0.isImmediate = true })
            try push.connect(endpoint)
            #expect(try push.trySend("nobody") == .full)
            let pull = try PullSocket(context, .test)
            try pull.bind(endpoint)
            try push.send("waits for the peer")
            #expect(try pull.receive().string == "waits for the peer")
            pull.close()
            try push.awaitPeers(0, in: context)
            // The pipe ended with its connection; nothing can be queued for the one who is gone.
            #expect(try push.trySend("nobody again") == .full)
            context.close()
        }

        @Test("A peer that never answers is given up and asked again", arguments: Setup.engines)
        func handshakeTimeout(setup: Setup) throws {
            let context = try setup.context()
            let port = try RawPeer.freePort()
            let server = try RawServer(port: port)
            let push = try PushSocket(context, .test { $0.handshakeTimeout = .milliseconds(50) })
            let monitor = push.monitor()
            try push.connect("tcp://127.0.0.1:\(port)")
            let silent = try server.accept()
            try context.await(monitor, "time-out") { $0 == .handshakeTimedOut }
            let second = try server.accept()
            try second.shakeHands(as: "PULL")
            try push.send("at last")
            #expect(try second.receiveFrame().body == Array("at last".utf8))
            withExtendedLifetime(silent) {}
            context.close()
        }
    }
}

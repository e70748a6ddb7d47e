import Glibc
import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("STREAM") struct StreamTests {
        /// Takes messages of one connection until that many bytes are there.
        private func take(_ count: Int, from id: Frame, _ socket: some ReceivingSocket) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let message = try socket.receive()
                try #require(message.count == 2 && message[0] == id && !message[1].isEmpty)
                bytes += message[1].bytes
            }
            return bytes
        }

        @Test("A plain client: a notice, bytes both ways, a notice", arguments: Setup.tcp)
        func accepted(setup: Setup) throws {
            let context = try setup.context()
            let stream = try StreamSocket(context, .test)
            var raw: RawPeer? = try RawPeer(stream.bind(setup.wildcard))
            let hello = try stream.receive()
            #expect(hello.count == 2 && hello[0].count == 5 && hello[0].bytes[0] == 0 && hello[1].isEmpty)
            let id = hello[0]
            try raw?.send(Array("GET /\r\n\r\n".utf8))
            #expect(try take(9, from: id, stream) == Array("GET /\r\n\r\n".utf8))
            try stream.send([id, "HTTP/1.0 200 OK\r\n"])
            try stream.send("\r\nbody", to: id)
            do {
                let answer = Worker { [raw] in
                    let bytes = try? raw?.receive(23)
                    #expect(bytes == Array("HTTP/1.0 200 OK\r\n\r\nbody".utf8))
                }
                // A caller-driven context sends while it is turned.
                let isAnswered = context.eventually { answer.join(within: 0) }
                #expect(isAnswered)
            }
            raw = nil
            #expect(try stream.receive() == [id, []])
            let isGone = try context.eventually { try stream.trySend([id, "x"]) == .noRoute }
            #expect(isGone)
            expectError(.invalidMessage) { try stream.send("no id") }
            expectError(.invalidMessage) { try stream.send([id, "a", "b"]) }
            context.close()
        }

        @Test("An empty message closes the connection behind what was sent before", arguments: Setup.engines)
        func closing(setup: Setup) throws {
            let context = try setup.context()
            let stream = try StreamSocket(context, .test)
            let raw = try RawPeer(stream.bind(setup.wildcard))
            let id = try stream.receive()[0]
            let body = [UInt8](repeating: 7, count: 300_000)
            try stream.send([id, Frame(body)])
            try stream.send([id, "end"])
            try stream.close(id)
            #expect(try raw.receive(300_003) == body + Array("end".utf8))
            #expect(raw.isHungUpOn())
            try stream.awaitPeers(0, in: context)
            #expect(try stream.tryReceive() == nil)
            context.close()
        }

        @Test("It connects to a plain server, by a name if it likes", arguments: Setup.engines)
        func connecting(setup: Setup) throws {
            let context = try setup.context()
            let stream = try StreamSocket(context, .test)
            let port = try RawPeer.freePort()
            try stream.connect("tcp://127.0.0.1:\(port)", as: "server")
            try stream.send("early", to: "server")
            let server = try RawServer(port: port)
            do {
                let raw = try server.accept()
                #expect(try raw.receive(5) == Array("early".utf8))
                #expect(try stream.receive() == ["server", []])
                try raw.send([1, 2, 3])
                #expect(try take(3, from: "server", stream) == [1, 2, 3])
            }
            #expect(try stream.receive() == ["server", []])
            // Lost by the peer: made again. Closed by us: not made again.
            let again = try server.accept()
            #expect(try stream.receive() == ["server", []])
            try stream.close("server")
            #expect(again.isHungUpOn())
            let isGone = try context.eventually { try stream.trySend(["server", "x"]) == .noRoute }
            #expect(isGone)
            context.close()
        }

        @Test("Much in both directions, with marks that pause both", arguments: Setup.engines)
        func volume(setup: Setup) throws {
            let context = try setup.context()
            let stream = try StreamSocket(
                context,
                .test {
                    $0.receiveHighWaterMark = 2; $0.sendHighWaterMark = 2
                })
            let raw = try RawPeer(stream.bind(setup.wildcard))
            let id = try stream.receive()[0]
            let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let sender = Worker { try? raw.send(bytes) }
            #expect(try take(bytes.count, from: id, stream) == bytes)
            #expect(sender.join())
            let received = Shared<[UInt8]>([])
            let receiver = Worker { received.value = (try? raw.receive(bytes.count)) ?? [] }
            for start in stride(from: 0, to: bytes.count, by: 10_007) {
                try stream.send([id, Frame(Array(bytes[start..<min(start + 10_007, bytes.count)]))])
            }
            #expect(receiver.join() && received.value == bytes)
            context.close()
        }

        @Test("Two STREAMs over ipc; without notices nothing comes but bytes", arguments: Engine.allCases)
        func quiet(engine: Engine) throws {
            let setup = Setup(engine: engine, wire: .ipcAbstract)
            let context = try setup.context()
            let one = try StreamSocket(context, .test { $0.isStreamNotifying = false })
            let two = try StreamSocket(context, .test { $0.isStreamNotifying = false })
            try two.connect(one.bind(setup.wildcard), as: "one")
            try two.send("hello", to: "one")
            let message = try one.receive()
            #expect(message[1] == "hello")
            try one.send("answer", to: message[0])
            #expect(try two.receive() == ["one", "answer"])
            two.close()
            try one.awaitPeers(0, in: context)
            #expect(try one.tryReceive() == nil)
            expectError(.unsupportedTransport) { try one.bind("inproc://x") }
            context.close()
        }

        @Test("A raw ROUTER is the same machine", arguments: Setup.engines)
        func rawRouter(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.isRouterRaw = true })
            let raw = try RawPeer(router.bind(setup.wildcard))
            let hello = try router.receive()
            #expect(hello[1].isEmpty)
            try raw.send([1, 2, 3])
            #expect(try take(3, from: hello[0], router) == [1, 2, 3])
            try router.send([hello[0], [4, 5]])
            #expect(try raw.receive(2) == [4, 5])
            try router.send([hello[0], []])
            #expect(raw.isHungUpOn())
            context.close()
        }
    }
}

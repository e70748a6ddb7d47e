import Testing
import ZeroMQ

extension Sockets {
    @Suite("PAIR") struct PairTests {
        @Test("Both sides send and receive", arguments: Setup.all)
        func bothWays(setup: Setup) throws {
            let context = try setup.context()
            let one = try PairSocket(context, .test)
            let two = try PairSocket(context, .test)
            try two.connect(one.bind(setup.wildcard))
            for number in 0..<500 {
                try two.send("to one \(number)")
                #expect(try one.receive().string == "to one \(number)")
                try one.send(["to", "two", Frame("\(number)")])
                #expect(try two.receive() == ["to", "two", Frame("\(number)")])
            }
            context.close()
        }

        @Test("A second peer is refused, the first goes on", arguments: Setup.all)
        func secondPeer(setup: Setup) throws {
            let context = try setup.context()
            let one = try PairSocket(context, .test)
            let two = try PairSocket(context, .test)
            let late = try PairSocket(context, .test)
            let endpoint = try one.bind(setup.wildcard)
            let refused = (setup.wire == .inproc ? late : one).monitor()
            try two.connect(endpoint)
            try two.send("first")
            #expect(try one.receive().string == "first")
            try late.connect(endpoint)
            try context.await(refused, "refusal") { if case .peerRefused = $0 { true } else { false } }
            try one.send("to the first")
            #expect(try two.receive().string == "to the first")
            #expect(try late.tryReceive() == nil)
            context.close(timeout: .milliseconds(200))
        }

        @Test("When the first peer has gone another may come", arguments: Setup.connected)
        func succession(setup: Setup) throws {
            let context = try setup.context()
            let one = try PairSocket(context, .test)
            let endpoint = try one.bind(setup.wildcard)
            for number in 0..<5 {
                let two = try PairSocket(context, .test)
                try two.connect(endpoint)
                try two.send("\(number)")
                #expect(try one.receive().string == "\(number)")
                two.close()
                try one.awaitPeers(0, in: context)
            }
            context.close()
        }
    }
}

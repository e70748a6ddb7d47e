import Testing
import ZeroMQ

extension Sockets {
    @Suite("DEALER and ROUTER") struct DealerRouterTests {
        @Test("ROUTER answers each DEALER by the name in front", arguments: Setup.all)
        func routing(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let endpoint = try router.bind(setup.wildcard)
            var dealers: [DealerSocket] = []
            for index in 0..<5 {
                let dealer = try DealerSocket(context, .test { $0.routingID = Frame("dealer \(index)") })
                try dealer.connect(endpoint)
                dealers.append(dealer)
            }
            for (index, dealer) in dealers.enumerated() {
                for part in 0..<10 { try dealer.send(["x", Frame("\(index) \(part)")]) }
            }
            for _ in 0..<50 {
                let message = try router.receive()
                #expect(message.count == 3)
                #expect(message[2].string.hasPrefix(message[0].string.suffix(1)))
                try router.send([message[0], message[2]])
            }
            for (index, dealer) in dealers.enumerated() {
                for part in 0..<10 { #expect(try dealer.receive().string == "\(index) \(part)") }
            }
            context.close()
        }

        @Test("Two DEALERs talk both ways without turns", arguments: Setup.all)
        func dealers(setup: Setup) throws {
            let context = try setup.context()
            let one = try DealerSocket(context, .test)
            let two = try DealerSocket(context, .test)
            try two.connect(one.bind(setup.wildcard))
            for number in 0..<200 { try two.send("a\(number)") }
            for number in 0..<200 {
                #expect(try one.receive().string == "a\(number)")
                try one.send("b\(number)")
            }
            for number in 0..<200 { #expect(try two.receive().string == "b\(number)") }
            context.close()
        }

        @Test("Two ROUTERs talk once they know each other's names", arguments: Setup.all)
        func routers(setup: Setup) throws {
            let context = try setup.context()
            let one = try RouterSocket(
                context,
                .test {
                    $0.routingID = "one"; $0.isRouterMandatory = true
                })
            let two = try RouterSocket(
                context,
                .test {
                    $0.routingID = "two"; $0.isRouterMandatory = true
                })
            try two.connect(one.bind(setup.wildcard))
            try two.awaitPeers(1, in: context)
            try one.awaitPeers(1, in: context)
            try two.send(["one", "hello"])
            #expect(try one.receive() == ["two", "hello"])
            try one.send(["two", "good day"])
            #expect(try two.receive() == ["one", "good day"])
            context.close()
        }

        @Test("ROUTER refuses a message without a body behind the name", arguments: Setup.engines)
        func nameOnly(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            expectError(.wrongState) { try router.send("name") }
            context.close()
        }
    }
}

import Testing
import ZeroMQ

extension Sockets {
    @Suite("Routing ids") struct RoutingTests {
        @Test(
            "A message to nobody is dropped and counted, or refused where that is mandatory", arguments: Setup.all)
        func nobody(setup: Setup) throws {
            let context = try setup.context()
            let careless = try RouterSocket(context, .test)
            #expect(try careless.trySend(["nobody", "x"]) == .sent)
            #expect(careless.statistics.losses == [.noRoute: 1])
            let careful = try RouterSocket(context, .test { $0.isRouterMandatory = true })
            #expect(try careful.trySend(["nobody", "x"]) == .noRoute)
            expectError(.noRoute) { try careful.send(["nobody", "x"]) }
            #expect(careful.statistics.losses.isEmpty)
            context.close()
        }

        @Test("A peer at its mark: dropped and counted, or refused where mandatory", arguments: [false, true])
        func fullPeer(isMandatory: Bool) throws {
            let setup = Setup(wire: .inproc)
            let context = try setup.context()
            let router = try RouterSocket(
                context,
                .test {
                    $0.isRouterMandatory = isMandatory; $0.sendHighWaterMark = 2
                })
            let dealer = try DealerSocket(
                context,
                .test {
                    $0.routingID = "d"; $0.receiveHighWaterMark = 3
                })
            try router.bind("inproc://full")
            try dealer.connect("inproc://full")
            for number in 0..<5 { #expect(try router.trySend(["d", Frame("\(number)")]) == .sent) }
            #expect(try router.trySend(["d", "x"]) == (isMandatory ? .full : .sent))
            #expect(router.statistics.losses == (isMandatory ? [:] : [.mark: 1]))
            for number in 0..<5 { #expect(try dealer.receive().string == "\(number)") }
            #expect(try router.trySend(["d", "again"]) == .sent)
            #expect(try dealer.receive().string == "again")
            context.close()
        }

        @Test("A mandatory ROUTER waits for a peer at its mark", arguments: Setup.engines)
        func waitsForPeer(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(
                context,
                .test {
                    $0.isRouterMandatory = true; $0.sendHighWaterMark = 2
                })
            let dealer = try DealerSocket(
                context,
                .test {
                    $0.routingID = "d"; $0.receiveHighWaterMark = 2
                })
            try router.bind("inproc://wait")
            try dealer.connect("inproc://wait")
            let worker = Worker { for number in 0..<100 { try? router.send(["d", Frame("\(number)")]) } }
            for number in 0..<100 { #expect(try dealer.receive().string == "\(number)") }
            #expect(worker.join(within: 10))
            context.close()
        }

        @Test("A second peer with the same identity is refused", arguments: Setup.connected)
        func duplicate(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let monitor = router.monitor()
            let endpoint = try router.bind(setup.wildcard)
            let first = try DealerSocket(context, .test { $0.routingID = "same" })
            try first.connect(endpoint)
            try first.send("first")
            #expect(try router.receive() == ["same", "first"])
            let second = try DealerSocket(context, .test { $0.routingID = "same" })
            try second.connect(endpoint)
            try context.await(monitor, "refusal") { if case .peerRefused = $0 { true } else { false } }
            try router.send(["same", "for the first"])
            #expect(try first.receive().string == "for the first")
            #expect(try second.tryReceive() == nil)
            context.close(timeout: .milliseconds(100))
        }

        @Test("With handover the newcomer takes the identity", arguments: Setup.engines)
        func handover(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.isRouterHandover = true })
            let endpoint = try router.bind(setup.wildcard)
            let first = try RawPeer(endpoint)
            try first.shakeHands(as: "DEALER", identity: "same")
            try first.send(RawPeer.frame([1]))
            #expect(try router.receive() == ["same", [1]])
            let second = try RawPeer(endpoint)
            try second.shakeHands(as: "DEALER", identity: "same")
            try second.send(RawPeer.frame([2]))
            #expect(try router.receive() == ["same", [2]])
            #expect(first.isHungUpOn())
            try router.send(["same", "for the second"])
            #expect(try second.receiveFrame().body == Array("for the second".utf8))
            #expect(context.eventually { router.statistics.peers.count == 1 }, "the first is forgotten")
            context.close()
        }

        @Test("Peers without an identity get names of their own: a zero byte and four more", arguments: Setup.all)
        func generated(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let endpoint = try router.bind(setup.wildcard)
            var names: Set<Frame> = []
            var dealers: [DealerSocket] = []
            for index in 0..<8 {
                let dealer = try DealerSocket(context, .test)
                try dealer.connect(endpoint)
                try dealer.send("\(index)")
                dealers.append(dealer)
                let name = try router.receive()[0]
                #expect(name.count == 5 && name.bytes[0] == 0)
                names.insert(name)
                try router.send([name, Frame("re \(index)")])
                #expect(try dealer.receive().string == "re \(index)")
            }
            #expect(names.count == 8)
            context.close()
        }

        @Test("A name is free again when its peer has gone", arguments: Setup.all)
        func reuse(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test { $0.isRouterMandatory = true })
            let endpoint = try router.bind(setup.wildcard)
            for round in 0..<4 {
                let dealer = try DealerSocket(context, .test { $0.routingID = "name" })
                try dealer.connect(endpoint)
                try dealer.send("\(round)")
                #expect(try router.receive() == ["name", Frame("\(round)")])
                dealer.close()
                try router.awaitPeers(0, in: context)
                #expect(try router.trySend(["name", "gone"]) == .noRoute)
            }
            context.close()
        }
    }
}

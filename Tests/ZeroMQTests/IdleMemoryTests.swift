import ChildProcesses
import Glibc
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Memory") struct IdleMemoryTests {
        static let wanted = 10_000
        /// A connection may cost our process this much.
        static let bound = 4096

        /// As many connections as the descriptor limit allows, after raising it as far as we may.
        static func possible() -> Int {
            var limit = rlimit()
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            getrlimit(resource, &limit)
            if geteuid() == 0, limit.rlim_max < 20_000 { limit.rlim_max = 20_000 }
            limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, 20_000))
            setrlimit(resource, &limit)
            getrlimit(resource, &limit)
            return min(wanted, Int(limit.rlim_cur) - 200)
        }

        /// Where the programs of this package were built: beside the one that runs.
        static func directory() -> String {
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/exe", &buffer, buffer.count)
            precondition(count > 0, "no /proc/self/exe")
            let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return String(path[..<path.lastIndex(of: "/")!])
        }

        /// Resident memory is the process's: other tests at the same time would be measured too.
        static let isAlone = getenv("PROACTOR_MEASURE_MEMORY") != nil

        @Test(
            "An idle connection costs at most 4 KiB, which comes back when it ends",
            .enabled(
                if: isAlone, "it measures the whole process: make test runs it alone (PROACTOR_MEASURE_MEMORY=1)"),
            arguments: Setup.engines, ["PUSH", "DEALER"])
        func idle(setup: Setup, type: String) throws {
            let count = Self.possible()
            if count < Self.wanted {
                print("only \(count) connections: the descriptor limit is lower than \(Self.wanted)")
            }
            let context = try setup.context()
            let options = SocketOptions.test { $0.backlog = 4096 }
            let socket: Socket =
                type == "PUSH" ? try PullSocket(context, options) : try RouterSocket(context, options)
            let endpoint = try socket.bind("tcp://127.0.0.1:*")
            let port = String(endpoint.split(separator: ":").last!)
            let program = Self.directory() + "/idle-clients"
            /// Opens connections from another process, and waits until all are served here.
            func open(_ count: Int, beside others: Int) throws -> ChildProcess {
                let clients = try ChildProcess(program, [port, "\(count)", type])
                #expect(try clients.receiveLine(within: .seconds(60)) == "ready \(count)")
                try socket.awaitPeers(count + others, in: context)
                return clients
            }
            // The first connections pay for what all of them share.
            let first = try open(100, beside: 0)
            let before = residentBytes()
            let clients = try open(count, beside: 100)
            let cost = (residentBytes() - before) / count
            print("\(setup.engine), \(count) \(type) connections: \(cost) bytes each")
            #expect(cost <= Self.bound)
            #expect(try clients.finish(within: .seconds(60)).ending == .exited(0))
            try socket.awaitPeers(100, in: context)
            // A sending half hears of peers that came and went with its next send, and lets their pipes go.
            if let router = socket as? RouterSocket { _ = try router.trySend(["nobody", "x"]) }
            let rest = (residentBytes() - before) / count
            print("\(setup.engine), after they left: \(rest) bytes each")
            // What the sender lets go after the loop's last look at the heap stays with the allocator until the next.
            #expect(rest <= Self.bound / 3)
            #expect(try first.finish(within: .seconds(20)).ending == .exited(0))
            context.close()
        }
    }
}

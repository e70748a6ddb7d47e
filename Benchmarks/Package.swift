// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who depends on swift-proactor ever resolves it or needs libzmq.

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let gnu: [CSetting] = [.define("_GNU_SOURCE")]

let package = Package(
    name: "swift-proactor-benchmarks",
    dependencies: [.package(name: "swift-proactor", path: "..")],
    targets: [
        // What every contender shares, so that both sides do the same bookkeeping; and the runner's child processes.
        .target(name: "CSupport", cSettings: gnu),
        // The contenders.
        .executableTarget(
            name: "bench-libzmq", dependencies: ["CSupport"], cSettings: gnu,
            linkerSettings: [.linkedLibrary("zmq")]),
        .executableTarget(
            name: "bench-ours",
            dependencies: [
                "CSupport", .product(name: "Proactor", package: "swift-proactor"),
                .product(name: "ZeroMQ", package: "swift-proactor"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "echo-minimal", dependencies: ["CSupport"], cSettings: gnu,
            linkerSettings: [.linkedLibrary("uring")]),
        // The loads: plain BSD sockets, the same for every contender.
        .executableTarget(name: "echo-load", dependencies: ["CSupport"], cSettings: gnu),
        .executableTarget(name: "idle-clients", dependencies: ["CSupport"], cSettings: gnu),
        .executableTarget(name: "zmtp-load", dependencies: ["CSupport"], cSettings: gnu),
        // Runs them against each other.
        .executableTarget(name: "bench", dependencies: ["CSupport"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "swift-proactor",
    products: [
        .library(name: "Proactor", targets: ["Proactor"]),
        .library(name: "ProactorLaws", targets: ["ProactorLaws"]),
        .library(name: "ZMTP", targets: ["ZMTP"]),
        .library(name: "ZeroMQ", targets: ["ZeroMQ"]),
        .executable(name: "proactor-probe", targets: ["proactor-probe"]),
        .executable(name: "zmqcat", targets: ["zmqcat"]),
        .executable(name: "demo", targets: ["demo"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CLiburing", path: "CLiburing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .target(name: "Proactor", dependencies: ["CLiburing"], swiftSettings: settings),
        .target(name: "ProactorLaws", dependencies: ["CLiburing", "Proactor"], swiftSettings: settings),
        .target(name: "ZMTP", swiftSettings: settings),
        .target(
            name: "ZeroMQ",
            dependencies: ["Proactor", "ZMTP", .product(name: "Logging", package: "swift-log")],
            swiftSettings: settings),
        .executableTarget(
            name: "proactor-probe",
            dependencies: [
                "Proactor", "ProactorLaws", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "zmqcat",
            dependencies: [
                "Proactor", "ZeroMQ", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .executableTarget(name: "demo", dependencies: ["Proactor", "ZeroMQ"], swiftSettings: settings),
        .testTarget(name: "ProactorTests", dependencies: ["Proactor", "CLiburing"], swiftSettings: settings),
        .testTarget(name: "ProactorAsyncTests", dependencies: ["Proactor"], swiftSettings: settings),
        .testTarget(
            name: "ProactorLawsTests", dependencies: ["Proactor", "ProactorLaws"], swiftSettings: settings),
        .testTarget(name: "ZMTPTests", dependencies: ["ZMTP"], swiftSettings: settings),
        .testTarget(
            name: "ZeroMQTests",
            dependencies: [
                "ZeroMQ", "Proactor", "ZMTP", "ChildProcesses", "idle-clients",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        // For tests only: programs that they run, and what runs them.
        .target(name: "ChildProcesses", path: "Tests/ChildProcesses", swiftSettings: settings),
        .testTarget(
            name: "InteropTests", dependencies: ["ChildProcesses", "Proactor", "ZMTP", "ZeroMQ", "zmqcat"],
            exclude: ["peer.py"], swiftSettings: settings),
        .executableTarget(name: "idle-clients", path: "Tests/idle-clients"),
        .executableTarget(name: "seccomp-launch", path: "Tests/seccomp-launch"),
        .testTarget(name: "KernelCompatTests", dependencies: ["ChildProcesses"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)

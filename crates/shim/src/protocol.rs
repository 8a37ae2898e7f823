//! What daemon and shim say to each other, as types.

/// Which process of the container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// PID 1.
    Init,
    /// An exec, by its id.
    Exec(String),
}

/// How a process's standard streams are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StdioConfig {
    /// A terminal (one stream), else pipes.
    pub tty: bool,
    /// Keep stdin open for attached clients; else /dev/null.
    pub stdin: bool,
    /// Close stdin when the first client that attached it goes.
    pub stdin_once: bool,
    /// Rows, columns.
    pub size: (u16, u16),
}

/// Where output is logged. json-file's format and rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogConfig {
    /// Not at all.
    None,
    /// `{"log":"…","stream":"stdout","time":"…"}` a line (partial lines past 16 KiB without the newline, as docker).
    JsonFile {
        /// The live file; rotated ones are `path.1`, `path.2`, …
        path: std::path::PathBuf,
        /// Rotate past this many bytes; 0 never.
        max_size: u64,
        /// Files in all, at least 1 (1 with a size: truncate).
        max_files: u32,
        /// JSON object text for `"attrs"`, or empty.
        attrs: String,
    },
}

/// Another OCI runtime, that makes and runs the container in place of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// The program, absolute: `/usr/sbin/runc`.
    pub program: std::path::PathBuf,
    /// What stands before our own words on its command line.
    pub args: Vec<String>,
    /// The container's name for it.
    pub id: String,
    /// `config.json`. Its root is `rootfs`; the network namespace, if one comes along, is `DIR/bundle/netns`.
    pub config: Vec<u8>,
}

/// From daemon to shim. `seq` comes back in the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Set the container up; the process waits. Descriptors: the network namespace, if `netns`.
    Create {
        /// An encoded `runtime::Plan`.
        plan: Vec<u8>,
        /// Whether the network namespace's descriptor comes along.
        netns: bool,
        /// Streams of PID 1.
        stdio: StdioConfig,
        /// Log.
        log: LogConfig,
        /// By whom, if not by us; then only the plan's cgroups and root are ours.
        outside: Option<Outside>,
    },
    /// Execute the program.
    Go,
    /// Start another process. The reply is `Started` or `Failed`.
    Exec {
        /// The daemon's id for it.
        id: String,
        /// An encoded plan; in a container of another runtime the OCI process as JSON.
        plan: Vec<u8>,
        /// Its streams.
        stdio: StdioConfig,
    },
    /// Descriptor: one end of a stream socketpair. The shim writes to it what docker's attach sends: raw bytes for a terminal,
    /// else frames (1 byte stream, 3 zeros, 4 bytes big-endian length, payload); closes it when the process and its output have ended. What it
    /// reads from it goes to the process's stdin if `stdin`; end of file there ends stdin for `stdin_once`. May come before `Create` / before the `Exec` of its id.
    Attach {
        /// Whose.
        target: Target,
        /// Take input.
        stdin: bool,
        /// Send stdout.
        stdout: bool,
        /// Send stderr.
        stderr: bool,
    },
    /// Signal a process.
    Signal {
        /// Whose.
        target: Target,
        /// Number.
        signal: i32,
    },
    /// New terminal size.
    Resize {
        /// Whose.
        target: Target,
        /// Characters.
        rows: u16,
        /// Characters.
        cols: u16,
    },
    /// Has the other runtime do something with the container: `pause`, `resume`, `update --resources -`. The reply is `Done`.
    Runtime {
        /// Its command line, without the container's name at the end.
        words: Vec<String>,
        /// Its standard input.
        input: Vec<u8>,
    },
    /// Close and reopen nothing else: the container has ended and its exit is known to the daemon; release mounts, cgroups and go.
    Goodbye,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, or 128 + signal.
    pub code: i32,
    /// Whether the kernel's OOM killer struck in its cgroup.
    pub oom: bool,
    /// Nanoseconds since the epoch.
    pub at: i64,
}

/// From shim to daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// First on every connection: what a (restarted) daemon must know.
    Hello {
        /// PID 1 in the host's namespace, once created.
        pid: Option<i32>,
        /// Whether its program was executed.
        running: bool,
        /// Once it ended.
        exit: Option<Exit>,
        /// Execs that still run.
        execs: Vec<(String, i32)>,
    },
    /// `Create` worked.
    Created {
        /// The request's number.
        seq: u32,
        /// PID 1.
        pid: i32,
    },
    /// `Go` or `Exec` worked: the program runs.
    Started {
        /// The request's number.
        seq: u32,
        /// Of the process.
        pid: i32,
    },
    /// Any other request worked.
    Done {
        /// The request's number.
        seq: u32,
    },
    /// A request failed. `errno` 0: see `detail`.
    Failed {
        /// The request's number.
        seq: u32,
        /// As `runtime::Error`.
        step: String,
        /// As `runtime::Error`.
        object: String,
        /// As `runtime::Error`.
        errno: i32,
        /// As `runtime::Error`.
        detail: String,
    },
    /// A process ended. For `Init` it is sent after `DIR/exit` was written, and all output read so far is in the log.
    Exited {
        /// Which.
        target: Target,
        /// How.
        exit: Exit,
    },
}

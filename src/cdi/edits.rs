//! What a device changes in a container.

/// Everything that a command gets with a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edits {
    /// Variables; a later one of the same name counts.
    pub env: Vec<(String, String)>,
    /// Device nodes.
    pub nodes: Vec<Node>,
    /// Files and folders of the host.
    pub mounts: Vec<Mount>,
    /// Groups that the command's user is in beside its own.
    pub groups: Vec<u32>,
    /// What rbuild does not do.
    pub unsupported: Vec<Unsupported>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the command sees it; absolute.
    pub path: String,
    /// The host's node, absolute; none for one at the same path.
    pub host_path: Option<String>,
    /// Its kind; none for that of the host's.
    pub kind: Option<NodeKind>,
    /// Its major and minor number; 0 as major is that of the host's.
    pub numbers: (u32, u32),
    /// Its permissions; none for those of the host's.
    pub mode: Option<u32>,
    /// Its owner; none for the command's user.
    pub uid: Option<u32>,
    /// Its group; none for the command's group.
    pub gid: Option<u32>,
}

/// The kind of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

/// A file or folder of the host that the command sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On the host; absolute.
    pub host_path: String,
    /// In the container; absolute.
    pub path: String,
    /// Whether the command can only read it.
    pub read_only: bool,
    /// Whether the command can run what is in it.
    pub programs: Programs,
}

/// Whether programs of a mount can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    /// They can.
    Run,
    /// They cannot.
    Refused,
}

/// Something that rbuild does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// What it is, for messages.
    pub what: String,
    /// File and line.
    pub place: String,
}

impl Edits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        let Self { env, nodes, mounts, groups, unsupported } = self;
        env.is_empty() && nodes.is_empty() && mounts.is_empty() && groups.is_empty() && unsupported.is_empty()
    }

    /// Adds others behind these.
    pub fn append(&mut self, other: &Edits) {
        let Self { env, nodes, mounts, groups, unsupported } = other;
        self.env.extend_from_slice(env);
        self.nodes.extend_from_slice(nodes);
        self.mounts.extend_from_slice(mounts);
        self.groups.extend_from_slice(groups);
        self.unsupported.extend_from_slice(unsupported);
    }
}

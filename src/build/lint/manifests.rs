//! Commands that install dependencies, and the files that say which.

/// A package manager, and what an install of it reads.
pub(super) struct Tool {
    /// Its name.
    pub name: &'static str,
    /// How the command begins: the words of each are looked for at the start of a simple command.
    starts: &'static [&'static [&'static str]],
    /// One of these must be an argument, if there are any: without it, the sources are read too.
    requires: &'static [&'static str],
    /// Arguments that make it read or write something else.
    refuses: &'static [&'static str],
    /// The file without which it installs nothing; of several, the first that is there.
    pub manifest: &'static [&'static str],
    /// Files that it reads if they are there.
    pub also: &'static [&'static str],
    /// Texts in the manifest that mean that it reads other files.
    pub reads_more: &'static [&'static str],
    /// Files and folders beside the manifest that mean the same.
    pub needs_more: &'static [&'static str],
}

const NODE_REFUSES: &[&str] =
    &["-g", "--global", "--prefix", "-C", "--dir", "--cwd", "-w", "--workspace", "--workspaces"];
const NODE_READS: &[&str] =
    &["\"workspaces\"", "\"file:", "\"link:", "\"prepare\"", "\"postinstall\"", "\"preinstall\""];

const TOOLS: &[Tool] = &[
    Tool {
        name: "npm",
        starts: &[&["npm", "ci"], &["npm", "install"], &["npm", "i"], &["npm", "clean-install"]],
        requires: &[],
        refuses: NODE_REFUSES,
        manifest: &["package.json"],
        also: &["package-lock.json", "npm-shrinkwrap.json", ".npmrc"],
        reads_more: NODE_READS,
        needs_more: &["patches"],
    },
    Tool {
        name: "yarn",
        starts: &[&["yarn", "install"], &["yarn"]],
        requires: &[],
        refuses: NODE_REFUSES,
        manifest: &["package.json"],
        also: &["yarn.lock", ".yarnrc.yml", ".yarnrc"],
        reads_more: NODE_READS,
        needs_more: &[".yarn", "patches"],
    },
    Tool {
        name: "pnpm",
        starts: &[&["pnpm", "install"], &["pnpm", "i"]],
        requires: &[],
        refuses: NODE_REFUSES,
        manifest: &["package.json"],
        also: &["pnpm-lock.yaml", ".npmrc"],
        reads_more: NODE_READS,
        needs_more: &["pnpm-workspace.yaml", "patches"],
    },
    Tool {
        name: "bundle",
        starts: &[&["bundle", "install"]],
        requires: &[],
        refuses: &["--gemfile"],
        manifest: &["Gemfile"],
        also: &["Gemfile.lock"],
        reads_more: &["path:", "path ", "gemspec", "eval_gemfile", "File.read", "ruby file:"],
        needs_more: &[".ruby-version", ".bundle"],
    },
    Tool {
        name: "composer",
        starts: &[&["composer", "install"]],
        requires: &["--no-autoloader"],
        refuses: &["-d", "--working-dir"],
        manifest: &["composer.json"],
        also: &["composer.lock"],
        reads_more: &["\"path\""],
        needs_more: &[],
    },
    Tool {
        name: "go",
        starts: &[&["go", "mod", "download"]],
        requires: &[],
        refuses: &[],
        manifest: &["go.mod"],
        also: &["go.sum"],
        reads_more: &["=> ./", "=> ../"],
        needs_more: &["go.work"],
    },
    Tool {
        name: "mvn",
        starts: &[&["mvn", "dependency:go-offline"], &["mvn", "dependency:resolve"]],
        requires: &[],
        refuses: &["-f", "--file", "-pl"],
        manifest: &["pom.xml"],
        also: &[],
        reads_more: &["<modules>", "<relativePath>", "${basedir}"],
        needs_more: &[".mvn"],
    },
    Tool {
        name: "gradle",
        starts: &[&["gradle", "dependencies"]],
        requires: &[],
        refuses: &["-p", "--project-dir", "-b"],
        manifest: &["build.gradle", "build.gradle.kts"],
        also: &["settings.gradle", "settings.gradle.kts", "gradle.properties"],
        reads_more: &["apply from", "project("],
        needs_more: &["buildSrc", "gradle"],
    },
    Tool {
        name: "poetry",
        starts: &[&["poetry", "install"]],
        requires: &["--no-root"],
        refuses: &["-C", "--directory", "-P", "--project"],
        manifest: &["pyproject.toml"],
        also: &["poetry.lock"],
        reads_more: &["path ="],
        needs_more: &[],
    },
    Tool {
        name: "uv",
        starts: &[&["uv", "sync"]],
        requires: &["--no-install-project"],
        refuses: &["--directory", "--project"],
        manifest: &["pyproject.toml"],
        also: &["uv.lock"],
        reads_more: &["path =", "[tool.uv.workspace]"],
        needs_more: &[],
    },
    Tool {
        name: "pipenv",
        starts: &[&["pipenv", "install"], &["pipenv", "sync"]],
        requires: &[],
        refuses: &["-r", "--requirements", "-e"],
        manifest: &["Pipfile"],
        also: &["Pipfile.lock"],
        reads_more: &["path ="],
        needs_more: &[],
    },
];

/// An install in a command.
pub(super) enum Install {
    /// Of what a manifest beside the working folder says.
    Manifest(&'static Tool),
    /// `pip install` of these lists.
    Requirements(Vec<String>),
    /// Of packages of the system that the command itself names, and nothing else is done: no file is read.
    System(&'static str),
}

impl Install {
    /// The package manager.
    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::Manifest(tool) => tool.name,
            Self::Requirements(_) => "pip",
            Self::System(name) => name,
        }
    }
}

/// The package managers of systems, and what may stand beside their installs without reading files.
const SYSTEM: [&str; 7] = ["apt-get", "apt", "apk", "dnf", "yum", "microdnf", "zypper"];
const HARMLESS: [&str; 5] = ["rm", "set", "echo", "true", "export"];

/// The installs of a shell command, in order. A command that goes to another folder is not understood, and has none.
pub(super) fn installs(text: &str) -> Vec<Install> {
    let joined = text.replace("\\\n", " ");
    let separators = |c: char| matches!(c, '\n' | ';' | '|' | '&' | '(' | ')' | '{' | '}');
    let commands: Vec<Vec<&str>> = joined.split(separators).map(words).filter(|words| !words.is_empty()).collect();
    if commands.iter().any(|words| matches!(words[0], "cd" | "pushd" | "if" | "for" | "while" | "case")) {
        return Vec::new();
    }
    let mut found: Vec<Install> = commands.iter().filter_map(|words| of_command(words)).collect();
    found.extend(system(&commands));
    found
}

/// The words of a simple command, without what is set for it and who runs it.
fn words(command: &str) -> Vec<&str> {
    let mut words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let is_prefix = |word: &str| {
        word == "sudo"
            || word == "exec"
            || word == "time"
            || word.split_once('=').is_some_and(|(name, _)| !name.starts_with('-'))
    };
    let prefix = words.iter().take_while(|word| is_prefix(word)).count();
    words.drain(..prefix);
    let is_module = words.first().is_some_and(|word| word.starts_with("python")) && words.get(1) == Some(&"-m");
    words.drain(..if is_module { 2 } else { 0 });
    words
}

fn of_command(words: &[&str]) -> Option<Install> {
    if matches!(words, ["pip" | "pip3", "install", ..]) {
        return requirements(&words[2..]).map(Install::Requirements);
    }
    let tool = TOOLS.iter().find_map(|tool| {
        let start = tool.starts.iter().find(|start| words.starts_with(start))?;
        let rest = &words[start.len()..];
        // A number is the value of the option before it.
        let only_options = rest.iter().all(|word| word.starts_with('-') || word.parse::<u32>().is_ok());
        let asked = tool.requires.iter().all(|option| rest.contains(option));
        let named = |word: &&str| tool.refuses.iter().any(|option| word.split('=').next() == Some(option));
        (only_options && asked && !rest.iter().any(named)).then_some(tool)
    })?;
    Some(Install::Manifest(tool))
}

/// The lists of `pip install`, if it installs nothing but lists and packages of the index.
fn requirements(arguments: &[&str]) -> Option<Vec<String>> {
    let mut lists = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        match *word {
            "-r" | "--requirement" => lists.push((*arguments.next()?).to_owned()),
            "-e" | "--editable" | "-c" | "--constraint" | "--find-links" | "-f" | "-t" | "--target" => return None,
            "." => return None,
            word if word.starts_with("--requirement=") => lists.push(word["--requirement=".len()..].to_owned()),
            word if word.starts_with("-r") => lists.push(word[2..].to_owned()),
            word if word.starts_with(['.', '/']) || word.contains(".whl") => return None,
            _ => {}
        }
    }
    let plain = |list: &String| !list.contains(['$', '*', '?', '[']) && !list.starts_with('/');
    (!lists.is_empty() && lists.iter().all(plain)).then_some(lists)
}

fn system(commands: &[Vec<&str>]) -> Option<Install> {
    let manager = |words: &Vec<&str>| SYSTEM.iter().find(|name| words[0] == **name).copied();
    let installs = commands.iter().find_map(|words| {
        let found = manager(words)?;
        words.iter().any(|word| matches!(*word, "install" | "add")).then_some(found)
    });
    let plain = |words: &Vec<&str>| {
        let reads = words
            .iter()
            .any(|word| word.starts_with(['.', '/']) || word.contains(['$', '`', '<']) || word.ends_with(".deb"));
        match manager(words) {
            Some(_) => !reads,
            None => HARMLESS.contains(&words[0]),
        }
    };
    installs.filter(|_| commands.iter().all(plain)).map(Install::System)
}

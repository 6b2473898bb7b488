//! The rules whose violations are warnings: their names, what they are about, and where they are explained.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name: the code of its warnings, and what `# check=skip=` takes.
    pub name: &'static str,
    /// What it asks for, in one sentence without a period.
    pub about: &'static str,
    /// Whose it is.
    pub origin: RuleOrigin,
}

/// Whose a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOrigin {
    /// BuildKit's, with the name of its page; `# check=error=true` lets it fail a build.
    BuildKit(&'static str),
    /// BuildKit's, and reported only where `# check=experimental=` names it.
    Experimental(&'static str),
    /// Ours; it never fails a build.
    Own,
}

impl Rule {
    /// The rule of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.name == name)
    }

    /// The page that explains it, if there is one.
    pub fn url(&self) -> Option<String> {
        match self.origin {
            RuleOrigin::BuildKit("") | RuleOrigin::Own => None,
            RuleOrigin::BuildKit(page) | RuleOrigin::Experimental(page) => {
                Some(format!("https://docs.docker.com/go/dockerfile/rule/{page}/"))
            }
        }
    }

    /// Whether it is reported only where it is asked for.
    pub fn is_experimental(&self) -> bool {
        matches!(self.origin, RuleOrigin::Experimental(_))
    }

    /// Whether `# check=error=true` lets it fail a build.
    pub fn can_fail_build(&self) -> bool {
        self.origin != RuleOrigin::Own
    }
}

const fn buildkit(name: &'static str, page: &'static str, about: &'static str) -> Rule {
    Rule { name, about, origin: RuleOrigin::BuildKit(page) }
}

const fn own(name: &'static str, about: &'static str) -> Rule {
    Rule { name, about, origin: RuleOrigin::Own }
}

/// Every rule, by name within its origin.
///
/// # References
/// BuildKit 0.32, `frontend/dockerfile/linter/ruleset.go`; `InvalidBaseImagePlatform` has no page there.
pub const RULES: &[Rule] = &[
    buildkit(
        "ConsistentInstructionCasing",
        "consistent-instruction-casing",
        "The instructions of a file are all written in capitals, or all in lower case",
    ),
    buildkit("CopyIgnoredFile", "copy-ignored-file", "COPY and ADD name nothing that the ignore file leaves out"),
    buildkit("DuplicateStageName", "duplicate-stage-name", "Each stage has a name of its own"),
    buildkit(
        "ExposeInvalidFormat",
        "expose-invalid-format",
        "EXPOSE names ports of the container only, without addresses and ports of the host",
    ),
    buildkit("ExposeProtoCasing", "expose-proto-casing", "The protocol of a port is written in lower case"),
    buildkit("FromAsCasing", "from-as-casing", "The AS of a FROM is written in the case of the FROM"),
    buildkit(
        "FromPlatformFlagConstDisallowed",
        "from-platform-flag-const-disallowed",
        "The --platform of a FROM is a variable, not one fixed platform",
    ),
    buildkit("InvalidBaseImagePlatform", "", "A base image is for the platform that is built for"),
    buildkit(
        "InvalidDefaultArgInFrom",
        "invalid-default-arg-in-from",
        "The base images of a file are names also if no build argument is given",
    ),
    Rule {
        name: "InvalidDefinitionDescription",
        about: "The comment above an ARG or a named stage begins with its name, or is set apart by an empty comment",
        origin: RuleOrigin::Experimental("invalid-definition-description"),
    },
    buildkit(
        "JSONArgsRecommended",
        "json-args-recommended",
        "CMD and ENTRYPOINT are arrays, so that the program itself gets the signals",
    ),
    buildkit(
        "LegacyKeyValueFormat",
        "legacy-key-value-format",
        "The pairs of ENV and LABEL are written with an equals sign",
    ),
    buildkit("MaintainerDeprecated", "maintainer-deprecated", "The author is told by a label, not by MAINTAINER"),
    buildkit(
        "MultipleInstructionsDisallowed",
        "multiple-instructions-disallowed",
        "A stage has at most one CMD, one ENTRYPOINT and one HEALTHCHECK, for only the last one counts",
    ),
    buildkit("NoEmptyContinuation", "no-empty-continuation", "No empty line stands inside a continued instruction"),
    buildkit(
        "RedundantTargetPlatform",
        "redundant-target-platform",
        "No FROM asks for $TARGETPLATFORM, which it gets anyway",
    ),
    buildkit(
        "ReservedStageName",
        "reserved-stage-name",
        "No stage is called like something that has a meaning already",
    ),
    buildkit(
        "SecretsUsedInArgOrEnv",
        "secrets-used-in-arg-or-env",
        "No ARG or ENV has the name of a secret, which would stay in the image",
    ),
    buildkit("StageNameCasing", "stage-name-casing", "The names of stages are written in lower case"),
    buildkit(
        "UndefinedArgInFrom",
        "undefined-arg-in-from",
        "The variables of a FROM are declared before the first FROM",
    ),
    buildkit("UndefinedVar", "undefined-var", "A variable is declared before it is used"),
    buildkit(
        "WorkdirRelativePath",
        "workdir-relative-path",
        "The first WORKDIR of a stage is absolute, for a relative one depends on the base image",
    ),
    own("ForeignFrontEnd", "The file asks for no front end that is not run"),
    own("InstallAfterCopy", "Dependencies are installed before the files that change often are copied"),
    own("MissingSource", "Whatever an instruction takes from the context is there"),
    own("RunBeforeCopy", "A file of the context is copied before a command uses it"),
    own("SecretValue", "No ARG or ENV holds the value of a secret"),
    own("UnknownRule", "What `# check=` names are rules"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_buildkits_are_twenty_two() {
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        assert_eq!(RULES.iter().filter(|rule| rule.can_fail_build()).count(), 22);
    }

    #[test]
    fn the_page_of_a_rule_is_its_name_with_dashes() {
        for rule in RULES.iter().filter(|rule| rule.origin != RuleOrigin::Own && rule.url().is_some()) {
            let mut page = String::new();
            let mut before = 'A';
            let letters: Vec<char> = rule.name.chars().collect();
            for (at, &c) in letters.iter().enumerate() {
                let next_is_small = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
                if at > 0 && c.is_ascii_uppercase() && (before.is_ascii_lowercase() || next_is_small) {
                    page.push('-');
                }
                page.push(c.to_ascii_lowercase());
                before = c;
            }
            assert_eq!(rule.url(), Some(format!("https://docs.docker.com/go/dockerfile/rule/{page}/")));
        }
    }
}

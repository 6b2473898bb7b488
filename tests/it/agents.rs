//! `--ssh` with key files: rbuild is the agent itself.

use std::fs;
use std::process::Command;

use crate::mounts::{build, call, check_file, project, write};
use crate::support::leaks;

#[test]
fn keys_of_files_are_an_agent_for_the_command_that_lists_and_signs() {
    let project = project(
        "RUN --mount=type=ssh,id=mine,required ssh-add -l | cut -d' ' -f3 >/out && echo text >/t && \\
         for key in a b; do ssh-keygen -q -Y sign -f /$key.pub -n file /t && \\
         ssh-keygen -q -Y check-novalidate -n file -s /t.sig </t && rm /t.sig || exit 1; done && ! ssh-add -D",
    );
    write(&project, "root/etc/passwd", "root:x:0:0:root:/tmp:/bin/sh\n");
    let key = |name: &str, args: &[&str]| {
        let file = project.root().join(name).display().to_string();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-f", &file, "-C", name]).args(args);
        assert!(command.status().expect("ssh-keygen is installed").success());
        fs::copy(format!("{file}.pub"), project.context().join(format!("root/{name}.pub"))).unwrap();
        file
    };
    let (a, b) = (key("a", &["-t", "ed25519", "-N", ""]), key("b", &["-t", "rsa", "-b", "2048", "-N", ""]));
    build(&project, &[&format!("--ssh=mine={a},{b}")]);
    check_file(&project, "out", "a\nb\n");
    let secret = fs::read_to_string(&a).unwrap().lines().nth(2).unwrap().to_owned();
    for path in leaks::files_below(&project.store()) {
        let content = fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&content).contains(&secret), "{}", path.display());
    }
    let locked = key("c", &["-t", "ed25519", "-N", "secret"]);
    let ran = call(&project, &[&format!("--ssh=mine={locked}")]).run().failure(1);
    assert!(ran.stderr.contains("its key is protected by a passphrase\nhint: add it to an agent"), "{}", ran.stderr);
    let ran = call(&project, &["--ssh=mine=Dockerfile"]).run().failure(1);
    assert!(ran.stderr.contains("cannot use `Dockerfile` as an ssh key: it is not a private key"), "{}", ran.stderr);
    leaks::assert_none(&project);
}

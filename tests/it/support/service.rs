//! The web service of the tutorial that many newcomers start from, with its mistakes repaired, built once for all tests.

use std::sync::OnceLock;

use serde_json::Value;

use crate::support::base;
use crate::support::image::Image;
use crate::support::run::Project;
use crate::support::validate::{Rules, validate};

/// The service's context. The port is the tutorial's unless it is told another one.
pub const CONTEXT: &str = r#"
    //- Dockerfile
    FROM python:3.8
    WORKDIR /app
    COPY requirements.txt .
    RUN pip install --no-cache-dir --break-system-packages -r requirements.txt
    COPY . .
    EXPOSE 8000
    CMD ["python","app.py"]
    //- .dockerignore
    Dockerfile
    .dockerignore
    //- requirements.txt
    flask==3.0.3
    //- app.py
    import os
    from flask import Flask

    app = Flask(__name__)

    @app.route("/")
    def hello():
        return "Hello from the service"

    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8000")))
    "#;

/// The service as its first build has left it.
pub struct Service {
    /// Its context and its store, for whoever builds it again; `first.tar` is the archive.
    pub project: Project,
    /// The image.
    pub image: Image,
    /// The digest of its manifest.
    pub digest: String,
    /// What rbuild told.
    pub report: String,
}

/// The service, built from cold; the first call builds it.
pub fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        // The registry's folder is removed with it, also if nobody drops this.
        let project = Project::within(base::registry().folder());
        project.write_registries_conf(&base::registry().mirror_of_docker_hub());
        project.write(CONTEXT);
        let metadata = project.temporary().join("metadata.json");
        let flag = format!("--metadata-file={}", metadata.display());
        let ran = project.rbuild(["-t", "app", &flag, "."]).run().success();
        let archive = project.root().join("first.tar");
        std::fs::copy(project.context().join("app.tar"), &archive).expect("rbuild has written app.tar");
        let image = validate(&archive, Rules { base_layers: 1, ..Rules::default() });
        let digest = manifest_digest(&std::fs::read(&metadata).expect("rbuild has written it"));
        std::fs::remove_file(&metadata).expect("it is ours");
        Service { project, image, digest, report: ran.stderr }
    })
}

/// The manifest's digest in what `--metadata-file` has written.
pub fn manifest_digest(metadata: &[u8]) -> String {
    let metadata: Value = serde_json::from_slice(metadata).expect("the metadata is JSON");
    metadata["containerimage.digest"].as_str().expect("the metadata has the digest").to_owned()
}

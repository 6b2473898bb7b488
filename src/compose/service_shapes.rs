//! The shape of a service.

use super::schema::{
    ANY, B, BOOL, E, FLAG, N, NUMBER, NUMBER_TEXT, Shape, T, TEXT, closed, keys, list, names, scalar, words,
};
use super::shapes::{DRIVER_OPTS, PAIRS, TEXT_LIST, TEXTS};

static BLKIO_LIMIT: Shape = closed(&[("path", &TEXT), ("rate", &NUMBER_TEXT)]);
static BLKIO_LIMITS: Shape = list(&BLKIO_LIMIT);
static BLKIO_WEIGHT: Shape = closed(&[("path", &TEXT), ("weight", &NUMBER_TEXT)]);
static BLKIO_WEIGHTS: Shape = list(&BLKIO_WEIGHT);
static BLKIO_CONFIG: Shape = closed(&[
    ("device_read_bps", &BLKIO_LIMITS),
    ("device_read_iops", &BLKIO_LIMITS),
    ("device_write_bps", &BLKIO_LIMITS),
    ("device_write_iops", &BLKIO_LIMITS),
    ("weight", &NUMBER_TEXT),
    ("weight_device", &BLKIO_WEIGHTS),
]);
static EXTRA_HOSTS: Shape = names(&TEXTS).or_list(&TEXT);
static GRANT: Shape =
    keys(&[("gid", &TEXT), ("mode", &NUMBER_TEXT), ("source", &TEXT), ("target", &TEXT), ("uid", &TEXT)]).or(T);
static GRANTS: Shape = list(&GRANT);
static ULIMIT: Shape = keys(&[("hard", &NUMBER_TEXT), ("soft", &NUMBER_TEXT)]).or(T | N);
static ULIMITS: Shape = names(&ULIMIT);
pub(super) static BUILD: Shape = keys(&[
    ("additional_contexts", &PAIRS),
    ("args", &PAIRS),
    ("cache_from", &TEXT_LIST),
    ("cache_to", &TEXT_LIST),
    ("context", &TEXT),
    ("dockerfile", &TEXT),
    ("dockerfile_inline", &TEXT),
    ("entitlements", &TEXT_LIST),
    ("extra_hosts", &EXTRA_HOSTS),
    ("isolation", &TEXT),
    ("labels", &PAIRS),
    ("network", &TEXT),
    ("no_cache", &FLAG),
    ("no_cache_filter", &TEXTS),
    ("platforms", &TEXT_LIST),
    ("privileged", &FLAG),
    ("provenance", &FLAG),
    ("pull", &FLAG),
    ("sbom", &FLAG),
    ("secrets", &GRANTS),
    ("shm_size", &NUMBER_TEXT),
    ("ssh", &PAIRS),
    ("tags", &TEXT_LIST),
    ("target", &TEXT),
    ("ulimits", &ULIMITS),
])
.or(T);
static CGROUP: Shape = words(&["host", "private"]);
static COMMAND: Shape = list(&TEXT).or(T | E);
static CREDENTIAL_SPEC: Shape = keys(&[("config", &TEXT), ("file", &TEXT), ("registry", &TEXT)]);
static CONDITION: Shape = words(&["service_started", "service_healthy", "service_completed_successfully"]);
static DEPENDENCY: Shape = keys(&[("condition", &CONDITION), ("required", &BOOL), ("restart", &FLAG)]);
static DEPENDS_ON: Shape = names(&DEPENDENCY).or_list(&TEXT);
static PREFERENCE: Shape = keys(&[("spread", &TEXT)]);
static PREFERENCES: Shape = list(&PREFERENCE);
static PLACEMENT: Shape =
    keys(&[("constraints", &TEXT_LIST), ("max_replicas_per_node", &NUMBER_TEXT), ("preferences", &PREFERENCES)]);
static LIMITS: Shape = keys(&[("cpus", &NUMBER_TEXT), ("memory", &TEXT), ("pids", &NUMBER_TEXT)]);
static DEVICE_REQUEST: Shape = keys(&[
    ("capabilities", &TEXT_LIST),
    ("count", &NUMBER_TEXT),
    ("device_ids", &TEXT_LIST),
    ("driver", &TEXT),
    ("options", &PAIRS),
]);
static DEVICE_REQUESTS: Shape = list(&DEVICE_REQUEST);
static DISCRETE_RESOURCE: Shape = keys(&[("kind", &TEXT), ("value", &NUMBER_TEXT)]);
static GENERIC_RESOURCE: Shape = keys(&[("discrete_resource_spec", &DISCRETE_RESOURCE)]);
static GENERIC_RESOURCES: Shape = list(&GENERIC_RESOURCE);
static RESERVATIONS: Shape = keys(&[
    ("cpus", &NUMBER_TEXT),
    ("devices", &DEVICE_REQUESTS),
    ("generic_resources", &GENERIC_RESOURCES),
    ("memory", &TEXT),
]);
static RESOURCES: Shape = keys(&[("limits", &LIMITS), ("reservations", &RESERVATIONS)]);
static RESTART_POLICY: Shape =
    keys(&[("condition", &TEXT), ("delay", &TEXT), ("max_attempts", &NUMBER_TEXT), ("window", &TEXT)]);
static UPDATE_ORDER: Shape = words(&["start-first", "stop-first"]);
static UPDATE: Shape = keys(&[
    ("delay", &TEXT),
    ("failure_action", &TEXT),
    ("max_failure_ratio", &NUMBER_TEXT),
    ("monitor", &TEXT),
    ("order", &UPDATE_ORDER),
    ("parallelism", &NUMBER_TEXT),
]);
static DEPLOY: Shape = keys(&[
    ("endpoint_mode", &TEXT),
    ("labels", &PAIRS),
    ("mode", &TEXT),
    ("placement", &PLACEMENT),
    ("replicas", &NUMBER_TEXT),
    ("resources", &RESOURCES),
    ("restart_policy", &RESTART_POLICY),
    ("rollback_config", &UPDATE),
    ("update_config", &UPDATE),
])
.or(E);
static WATCH_ACTION: Shape = words(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]);
static HOOK: Shape = keys(&[
    ("command", &COMMAND),
    ("environment", &PAIRS),
    ("privileged", &FLAG),
    ("user", &TEXT),
    ("working_dir", &TEXT),
]);
static WATCH: Shape = keys(&[
    ("action", &WATCH_ACTION),
    ("exec", &HOOK),
    ("ignore", &TEXTS),
    ("include", &TEXTS),
    ("initial_sync", &BOOL),
    ("path", &TEXT),
    ("target", &TEXT),
]);
static WATCHES: Shape = list(&WATCH);
static DEVELOP: Shape = keys(&[("watch", &WATCHES)]).or(E);
static DEVICE: Shape = keys(&[("permissions", &TEXT), ("source", &TEXT), ("target", &TEXT)]).or(T);
static SERVICE_DEVICES: Shape = list(&DEVICE);
static ENV_FILE: Shape = closed(&[("format", &TEXT), ("path", &TEXT), ("required", &FLAG)]).or(T);
static ENV_FILES: Shape = list(&ENV_FILE).or(T);
static EXPOSE: Shape = list(&NUMBER_TEXT);
static EXTENDS: Shape = closed(&[("file", &TEXT), ("service", &TEXT)]).or(T);
static GPU: Shape = closed(&[
    ("capabilities", &TEXT_LIST),
    ("count", &NUMBER_TEXT),
    ("device_ids", &TEXT_LIST),
    ("driver", &TEXT),
    ("options", &PAIRS),
]);
static GPUS: Shape = list(&GPU).or_words(&["all"]).or(T);
static HEALTHCHECK: Shape = keys(&[
    ("disable", &FLAG),
    ("interval", &TEXT),
    ("retries", &NUMBER_TEXT),
    ("start_interval", &TEXT),
    ("start_period", &TEXT),
    ("test", &TEXTS),
    ("timeout", &TEXT),
]);
static LOG_OPTION: Shape = scalar(T | N | E);
static LOG_OPTIONS: Shape = names(&LOG_OPTION);
static LOGGING: Shape = keys(&[("driver", &TEXT), ("options", &LOG_OPTIONS)]);
static SERVICE_MODEL: Shape = keys(&[("endpoint_var", &TEXT), ("model_var", &TEXT)]).or(E);
static SERVICE_MODELS: Shape = names(&SERVICE_MODEL).or_list(&TEXT);
static SERVICE_NETWORK: Shape = keys(&[
    ("aliases", &TEXT_LIST),
    ("driver_opts", &DRIVER_OPTS),
    ("gw_priority", &NUMBER),
    ("interface_name", &TEXT),
    ("ipv4_address", &TEXT),
    ("ipv6_address", &TEXT),
    ("link_local_ips", &TEXT_LIST),
    ("mac_address", &TEXT),
    ("priority", &NUMBER),
])
.or(E);
static SERVICE_NETWORKS: Shape = names(&SERVICE_NETWORK).or_list(&TEXT);
static PID: Shape = scalar(T | E);
static PORT: Shape = keys(&[
    ("app_protocol", &TEXT),
    ("host_ip", &TEXT),
    ("mode", &TEXT),
    ("name", &TEXT),
    ("protocol", &TEXT),
    ("published", &NUMBER_TEXT),
    ("target", &NUMBER_TEXT),
])
.or(T | N);
static PORTS: Shape = list(&PORT);
static HOOKS: Shape = list(&HOOK);
static PRE_START_HOOK: Shape = keys(&[
    ("command", &COMMAND),
    ("environment", &PAIRS),
    ("image", &TEXT),
    ("per_replica", &FLAG),
    ("privileged", &FLAG),
    ("user", &TEXT),
    ("working_dir", &TEXT),
]);
static PRE_START_HOOKS: Shape = list(&PRE_START_HOOK);
static PROVIDER_VALUE: Shape = scalar(T | N | B);
static PROVIDER_OPTION: Shape = list(&PROVIDER_VALUE).or(T | N | B);
static PROVIDER_OPTIONS: Shape = names(&PROVIDER_OPTION);
static PROVIDER: Shape = keys(&[("options", &PROVIDER_OPTIONS), ("type", &TEXT)]);
static STORAGE_OPT: Shape = names(&ANY);
static BIND_RECURSIVE: Shape = words(&["enabled", "disabled", "writable", "readonly"]);
static BIND_SELINUX: Shape = words(&["z", "Z"]);
static VOLUME_BIND: Shape = keys(&[
    ("create_host_path", &FLAG),
    ("propagation", &TEXT),
    ("recursive", &BIND_RECURSIVE),
    ("selinux", &BIND_SELINUX),
]);
static VOLUME_IMAGE: Shape = keys(&[("subpath", &TEXT)]);
static VOLUME_TMPFS: Shape = keys(&[("mode", &NUMBER_TEXT), ("size", &NUMBER_TEXT)]);
static VOLUME_TYPE: Shape = words(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]);
static VOLUME_VOLUME: Shape = keys(&[("labels", &PAIRS), ("nocopy", &FLAG), ("subpath", &TEXT)]);
static SERVICE_VOLUME: Shape = keys(&[
    ("bind", &VOLUME_BIND),
    ("consistency", &TEXT),
    ("image", &VOLUME_IMAGE),
    ("read_only", &FLAG),
    ("source", &TEXT),
    ("target", &TEXT),
    ("tmpfs", &VOLUME_TMPFS),
    ("type", &VOLUME_TYPE),
    ("volume", &VOLUME_VOLUME),
])
.or(T);
static SERVICE_VOLUMES: Shape = list(&SERVICE_VOLUME);
pub(super) static SERVICE: Shape = keys(&[
    ("annotations", &PAIRS),
    ("attach", &FLAG),
    ("blkio_config", &BLKIO_CONFIG),
    ("build", &BUILD),
    ("cap_add", &TEXT_LIST),
    ("cap_drop", &TEXT_LIST),
    ("cgroup", &CGROUP),
    ("cgroup_parent", &TEXT),
    ("command", &COMMAND),
    ("configs", &GRANTS),
    ("container_name", &TEXT),
    ("cpu_count", &NUMBER_TEXT),
    ("cpu_percent", &NUMBER_TEXT),
    ("cpu_period", &NUMBER_TEXT),
    ("cpu_quota", &NUMBER_TEXT),
    ("cpu_rt_period", &NUMBER_TEXT),
    ("cpu_rt_runtime", &NUMBER_TEXT),
    ("cpu_shares", &NUMBER_TEXT),
    ("cpus", &NUMBER_TEXT),
    ("cpuset", &TEXT),
    ("credential_spec", &CREDENTIAL_SPEC),
    ("depends_on", &DEPENDS_ON),
    ("deploy", &DEPLOY),
    ("develop", &DEVELOP),
    ("device_cgroup_rules", &TEXT_LIST),
    ("devices", &SERVICE_DEVICES),
    ("dns", &TEXTS),
    ("dns_opt", &TEXT_LIST),
    ("dns_search", &TEXTS),
    ("domainname", &TEXT),
    ("entrypoint", &COMMAND),
    ("env_file", &ENV_FILES),
    ("environment", &PAIRS),
    ("expose", &EXPOSE),
    ("extends", &EXTENDS),
    ("external_links", &TEXT_LIST),
    ("extra_hosts", &EXTRA_HOSTS),
    ("gpus", &GPUS),
    ("group_add", &EXPOSE),
    ("healthcheck", &HEALTHCHECK),
    ("hostname", &TEXT),
    ("image", &TEXT),
    ("init", &FLAG),
    ("ipc", &TEXT),
    ("isolation", &TEXT),
    ("label_file", &TEXTS),
    ("labels", &PAIRS),
    ("links", &TEXT_LIST),
    ("logging", &LOGGING),
    ("mac_address", &TEXT),
    ("mem_limit", &NUMBER_TEXT),
    ("mem_reservation", &NUMBER_TEXT),
    ("mem_swappiness", &NUMBER_TEXT),
    ("memswap_limit", &NUMBER_TEXT),
    ("models", &SERVICE_MODELS),
    ("network_mode", &TEXT),
    ("networks", &SERVICE_NETWORKS),
    ("oom_kill_disable", &FLAG),
    ("oom_score_adj", &NUMBER_TEXT),
    ("pid", &PID),
    ("pids_limit", &NUMBER_TEXT),
    ("platform", &TEXT),
    ("ports", &PORTS),
    ("post_start", &HOOKS),
    ("pre_start", &PRE_START_HOOKS),
    ("pre_stop", &HOOKS),
    ("privileged", &FLAG),
    ("profiles", &TEXT_LIST),
    ("provider", &PROVIDER),
    ("pull_policy", &TEXT),
    ("pull_refresh_after", &TEXT),
    ("read_only", &FLAG),
    ("restart", &TEXT),
    ("runtime", &TEXT),
    ("scale", &NUMBER_TEXT),
    ("secrets", &GRANTS),
    ("security_opt", &TEXT_LIST),
    ("shm_size", &NUMBER_TEXT),
    ("stdin_open", &FLAG),
    ("stop_grace_period", &TEXT),
    ("stop_signal", &TEXT),
    ("storage_opt", &STORAGE_OPT),
    ("sysctls", &PAIRS),
    ("tmpfs", &TEXTS),
    ("tty", &FLAG),
    ("ulimits", &ULIMITS),
    ("use_api_socket", &BOOL),
    ("user", &TEXT),
    ("userns_mode", &TEXT),
    ("uts", &TEXT),
    ("volumes", &SERVICE_VOLUMES),
    ("volumes_from", &TEXT_LIST),
    ("working_dir", &TEXT),
]);

//! The shapes of everything in a compose file but services.

use super::schema::{B, E, FLAG, N, NUMBER, NUMBER_TEXT, Shape, T, TEXT, closed, keys, list, names, scalar};
use super::service_shapes::SERVICE;

pub(super) static EXTERNAL_STRICT: Shape = closed(&[("name", &TEXT)]).or(T | B);
pub(super) static PAIR_VALUE: Shape = scalar(T | N | B | E);
pub(super) static PAIRS: Shape = names(&PAIR_VALUE).or_list(&TEXT);
pub(super) static CONFIG: Shape = keys(&[
    ("content", &TEXT),
    ("environment", &TEXT),
    ("external", &EXTERNAL_STRICT),
    ("file", &TEXT),
    ("labels", &PAIRS),
    ("name", &TEXT),
    ("template_driver", &TEXT),
]);
pub(super) static CONFIGS: Shape = names(&CONFIG);
pub(super) static TEXTS: Shape = list(&TEXT).or(T);
pub(super) static INCLUDED: Shape =
    closed(&[("env_file", &TEXTS), ("path", &TEXTS), ("project_directory", &TEXT)]).or(T);
pub(super) static INCLUDE: Shape = list(&INCLUDED);
pub(super) static TEXT_LIST: Shape = list(&TEXT);
pub(super) static MODEL: Shape =
    keys(&[("context_size", &NUMBER), ("model", &TEXT), ("name", &TEXT), ("runtime_flags", &TEXT_LIST)]);
pub(super) static MODELS: Shape = names(&MODEL);
pub(super) static DRIVER_OPTS: Shape = names(&NUMBER_TEXT);
pub(super) static EXTERNAL: Shape = keys(&[("name", &TEXT)]).or(T | B);
pub(super) static TEXT_NAMES: Shape = names(&TEXT);
pub(super) static IPAM_CONFIG_ITEM: Shape =
    keys(&[("aux_addresses", &TEXT_NAMES), ("gateway", &TEXT), ("ip_range", &TEXT), ("subnet", &TEXT)]);
pub(super) static IPAM_CONFIG: Shape = list(&IPAM_CONFIG_ITEM);
pub(super) static IPAM: Shape = keys(&[("config", &IPAM_CONFIG), ("driver", &TEXT), ("options", &TEXT_NAMES)]);
pub(super) static NETWORK: Shape = keys(&[
    ("attachable", &FLAG),
    ("driver", &TEXT),
    ("driver_opts", &DRIVER_OPTS),
    ("enable_ipv4", &FLAG),
    ("enable_ipv6", &FLAG),
    ("external", &EXTERNAL),
    ("internal", &FLAG),
    ("ipam", &IPAM),
    ("labels", &PAIRS),
    ("name", &TEXT),
])
.or(E);
pub(super) static NETWORKS: Shape = names(&NETWORK);
pub(super) static SECRET: Shape = keys(&[
    ("driver", &TEXT),
    ("driver_opts", &DRIVER_OPTS),
    ("environment", &TEXT),
    ("external", &EXTERNAL_STRICT),
    ("file", &TEXT),
    ("labels", &PAIRS),
    ("name", &TEXT),
    ("template_driver", &TEXT),
]);
pub(super) static SECRETS: Shape = names(&SECRET);
pub(super) static SERVICES: Shape = names(&SERVICE);
pub(super) static VOLUME: Shape = keys(&[
    ("driver", &TEXT),
    ("driver_opts", &DRIVER_OPTS),
    ("external", &EXTERNAL),
    ("labels", &PAIRS),
    ("name", &TEXT),
])
.or(E);
pub(super) static VOLUMES: Shape = names(&VOLUME);
pub(super) static FILE: Shape = keys(&[
    ("configs", &CONFIGS),
    ("include", &INCLUDE),
    ("models", &MODELS),
    ("name", &TEXT),
    ("networks", &NETWORKS),
    ("secrets", &SECRETS),
    ("services", &SERVICES),
    ("version", &TEXT),
    ("volumes", &VOLUMES),
]);

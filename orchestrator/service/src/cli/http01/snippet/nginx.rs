use std::fmt::Write as _;

use super::{PATH, Part, Plan, TOKEN};

const PLACE: &str = "in each server { } that listens on port 80, or in a file that each includes";
/// `return` beside locations is carried out before any location is looked at.
const HTTPS_NOTE: &str = "A redirect to HTTPS belongs into location / { }, not beside it.";

pub(super) fn parts(plan: &Plan) -> Vec<Part> {
    match plan {
        Plan::ReverseProxy(responders) => {
            let mut parts = Vec::new();
            let upstream = match responders.as_slice() {
                [only] => only.authority(),
                several => {
                    let mut text = "upstream lockkeeper_responders {\n".to_owned();
                    for responder in several {
                        let _ = writeln!(text, "    server {};", responder.authority());
                    }
                    text.push_str("}\n");
                    parts.push(Part { place: "once, in http { }", notes: Vec::new(), text });
                    "lockkeeper_responders".to_owned()
                }
            };
            let text = format!(
                "location ^~ {PATH} {{\n    \
                     auth_basic off;\n    \
                     allow all;\n    \
                     proxy_pass http://{upstream};\n    \
                     proxy_set_header Host $host;\n    \
                     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
                     proxy_connect_timeout 2s;\n    \
                     proxy_read_timeout 9s;\n    \
                     proxy_cache off;\n\
                 }}\n"
            );
            parts.push(Part { place: PLACE, notes: vec![HTTPS_NOTE], text });
            parts
        }
        Plan::Redirect(responder) => {
            let text = format!("location ^~ {PATH} {{\n    return 302 {responder}$request_uri;\n}}\n");
            vec![Part { place: PLACE, notes: vec![HTTPS_NOTE], text }]
        }
        Plan::Stateless(thumbprint) => {
            let path = PATH.replace('.', "\\.");
            // The capture has a name: that of the method's expression would take $1.
            let text = format!(
                "location ^~ {PATH} {{\n    \
                     location ~ \"^{path}(?<lockkeeper_token>{TOKEN})$\" {{\n        \
                         if ($request_method !~ \"^(GET|HEAD)$\") {{ return 405; }}\n        \
                         default_type text/plain;\n        \
                         add_header X-Content-Type-Options nosniff always;\n        \
                         return 200 \"$lockkeeper_token.{thumbprint}\";\n    \
                     }}\n    \
                     return 404;\n\
                 }}\n"
            );
            vec![Part { place: PLACE, notes: vec![HTTPS_NOTE], text }]
        }
    }
}

use std::fmt::Write as _;

use super::{PATH, Part, Plan, TOKEN};

const PLACE: &str = "in each frontend on port 80, ahead of its own http-request rules";

pub(super) fn parts(plan: &Plan) -> Vec<Part> {
    let path = PATH.replace('.', "\\.");
    match plan {
        Plan::ReverseProxy(responders) => {
            let frontend = format!(
                "    acl lockkeeper_challenge path_beg {PATH}\n    \
                     use_backend lockkeeper_responders if lockkeeper_challenge\n"
            );
            let mut backend = "backend lockkeeper_responders\n    \
                                   mode http\n    \
                                   option forwardfor\n    \
                                   option redispatch 1\n    \
                                   retries 2\n    \
                                   timeout connect 2s\n    \
                                   timeout server 9s\n"
                .to_owned();
            for (place, responder) in responders.iter().enumerate() {
                let _ =
                    writeln!(backend, "    server responder{} {} check", place + 1, responder.authority());
            }
            vec![
                Part {
                    place: PLACE,
                    notes: vec!["To a redirect to HTTPS, add: unless lockkeeper_challenge"],
                    text: frontend,
                },
                Part { place: "once", notes: Vec::new(), text: backend },
            ]
        }
        Plan::Redirect(responder) => {
            let text = format!(
                "    acl lockkeeper_token path -m reg ^{path}{TOKEN}$\n    \
                     http-request redirect code 302 location {responder}%[path] if lockkeeper_token\n"
            );
            vec![Part { place: PLACE, notes: Vec::new(), text }]
        }
        Plan::Stateless(thumbprint) => {
            let text = format!(
                "    acl lockkeeper_challenge path_beg {PATH}\n    \
                     acl lockkeeper_token path -m reg ^{path}{TOKEN}$\n    \
                     http-request return status 405 hdr Allow \"GET, HEAD\" if lockkeeper_token !{{ method GET HEAD }}\n    \
                     http-request return status 200 content-type text/plain hdr X-Content-Type-Options nosniff \
                     lf-string \"%[path,field(4,/)].{thumbprint}\" if lockkeeper_token\n    \
                     http-request return status 404 if lockkeeper_challenge\n"
            );
            vec![Part { place: PLACE, notes: vec!["Needs HAProxy 2.2 or later."], text }]
        }
    }
}

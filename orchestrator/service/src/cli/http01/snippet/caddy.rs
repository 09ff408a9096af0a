use super::{PATH, Part, Plan, TOKEN};

const PLACE: &str = "in each site block for port 80, or in a file that each imports";
const ORDER_NOTE: &str = "What the site does itself belongs into handle { }: a redir beside it comes first.";

pub(super) fn parts(plan: &Plan) -> Vec<Part> {
    let path = PATH.replace('.', "\\.");
    let text = match plan {
        Plan::ReverseProxy(responders) => {
            let upstreams: Vec<String> =
                responders.iter().map(|one| format!("http://{}", one.authority())).collect();
            let upstreams = upstreams.join(" ");
            format!(
                "handle {PATH}* {{\n\
                 \treverse_proxy {upstreams} {{\n\
                 \t\tlb_try_duration 3s\n\
                 \t\tfail_duration 5s\n\
                 \t\ttransport http {{\n\
                 \t\t\tdial_timeout 2s\n\
                 \t\t\tresponse_header_timeout 9s\n\
                 \t\t}}\n\
                 \t}}\n\
                 }}\n"
            )
        }
        Plan::Redirect(responder) => format!(
            "@lockkeeper_token path_regexp ^{path}{TOKEN}$\n\
             handle @lockkeeper_token {{\n\
             \tredir {responder}{{path}} 302\n\
             }}\n"
        ),
        Plan::Stateless(thumbprint) => format!(
            "@lockkeeper_token {{\n\
             \tmethod GET HEAD\n\
             \tpath_regexp lockkeeper ^{path}({TOKEN})$\n\
             }}\n\
             handle @lockkeeper_token {{\n\
             \theader Content-Type text/plain\n\
             \theader X-Content-Type-Options nosniff\n\
             \trespond \"{{http.regexp.lockkeeper.1}}.{thumbprint}\" 200\n\
             }}\n\
             handle {PATH}* {{\n\
             \trespond 404\n\
             }}\n"
        ),
    };
    vec![Part { place: PLACE, notes: vec![ORDER_NOTE], text }]
}

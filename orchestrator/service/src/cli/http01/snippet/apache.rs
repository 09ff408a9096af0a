use std::fmt::Write as _;

use super::{PATH, Part, Plan, TOKEN};

const PLACE: &str =
    "in each <VirtualHost> on port 80, ahead of its own rules, or in a file that each includes there";

pub(super) fn parts(plan: &Plan) -> Vec<Part> {
    let path = PATH.replace('.', "\\.");
    let (notes, text) = match plan {
        Plan::ReverseProxy(responders) => {
            let mut text = format!(
                "<IfModule rewrite_module>\n    \
                     RewriteEngine On\n    \
                     RewriteRule \"^{path}\" \"-\" [END]\n\
                 </IfModule>\n"
            );
            let settings = "connectiontimeout=2 timeout=9 disablereuse=On";
            let note = match responders.as_slice() {
                [only] => {
                    let at = only.authority();
                    let _ = writeln!(text, "ProxyPass \"{PATH}\" \"http://{at}{PATH}\" {settings}");
                    "Needs the modules proxy and proxy_http."
                }
                several => {
                    text.push_str("<Proxy \"balancer://lockkeeper\">\n");
                    for responder in several {
                        let at = responder.authority();
                        let _ = writeln!(text, "    BalancerMember \"http://{at}\" {settings} retry=5");
                    }
                    let _ = write!(
                        text,
                        "</Proxy>\nProxyPass \"{PATH}\" \"balancer://lockkeeper{PATH}\" failontimeout=On\n"
                    );
                    "Needs the modules proxy, proxy_http, proxy_balancer, lbmethod_byrequests and slotmem_shm."
                }
            };
            let _ = write!(
                text,
                "<Location \"{PATH}\">\n    \
                     ProxyPreserveHost On\n    \
                     AuthType None\n    \
                     Require all granted\n\
                 </Location>\n"
            );
            (vec![note], text)
        }
        Plan::Redirect(responder) => {
            let text = format!(
                "RewriteEngine On\n\
                 RewriteRule \"^{path}({TOKEN})$\" \"{responder}{PATH}$1\" [R=302,QSD,END]\n"
            );
            (vec!["Needs the module rewrite."], text)
        }
        Plan::Stateless(thumbprint) => {
            // A rewrite to status 200 shows the error document of 200, which is put together from the path.
            let text = format!(
                "RewriteEngine On\n\
                 RewriteCond \"%{{REQUEST_METHOD}}\" \"!^(GET|HEAD)$\"\n\
                 RewriteRule \"^{path}\" \"-\" [R=405,L]\n\
                 RewriteRule \"^{path}{TOKEN}$\" \"-\" [R=200,L]\n\
                 RewriteRule \"^{path}\" \"-\" [R=404,L]\n\
                 <LocationMatch \"^{path}(?<LOCKKEEPER_TOKEN>{TOKEN})$\">\n    \
                     ErrorDocument 200 \"%{{ENV:MATCH_LOCKKEEPER_TOKEN}}.{thumbprint}\"\n    \
                     Header always set Content-Type \"text/plain\"\n    \
                     Header always set X-Content-Type-Options \"nosniff\"\n\
                 </LocationMatch>\n"
            );
            (vec!["Needs Apache 2.4.13 or later, with the modules rewrite and headers."], text)
        }
    };
    vec![Part { place: PLACE, notes, text }]
}

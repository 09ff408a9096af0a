use super::{PATH, Part, Plan, SnippetError, TOKEN};

const PLACE: &str = "in web.config of each site, in system.webServer/rewrite/rules, ahead of its own rules";
const MODULE_NOTE: &str = "Needs URL Rewrite 2.";
const PROXY_NOTE: &str = "Needs URL Rewrite 2, and Application Request Routing 3 with its proxy and preserveHostHeader switched on.";

pub(super) fn parts(plan: &Plan) -> Result<Vec<Part>, SnippetError> {
    // URL Rewrite sees the path without its slash.
    let path = PATH.trim_start_matches('/').replace('.', "\\.");
    let (note, action) = match plan {
        Plan::ReverseProxy(responders) => {
            let [responder] = responders.as_slice() else { return Err(SnippetError::SeveralBehindIis) };
            let action = format!(
                r#"<action type="Rewrite" url="{responder}{PATH}{{R:1}}" appendQueryString="false" logRewrittenUrl="true" />"#
            );
            (PROXY_NOTE, action)
        }
        Plan::Redirect(responder) => {
            let action = format!(
                r#"<action type="Redirect" url="{responder}{PATH}{{R:1}}" appendQueryString="false" redirectType="Found" />"#
            );
            (MODULE_NOTE, action)
        }
        Plan::Stateless(_) => return Err(SnippetError::StatelessIis),
    };
    let text = format!(
        "<rule name=\"Lockkeeper HTTP-01\" stopProcessing=\"true\">\n  \
             <match url=\"^{path}({TOKEN})$\" ignoreCase=\"false\" />\n  \
             {action}\n\
         </rule>\n"
    );
    Ok(vec![Part { place: PLACE, notes: vec![note], text }])
}

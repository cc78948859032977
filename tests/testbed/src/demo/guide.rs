//! What a person can do now: where everything is, and three things to try.

use crate::screen::Screen;
use crate::stage::{NAMESPACE, Stage};

const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/world.yaml");

pub(crate) fn print(stage: &Stage<'_>, screen: &Screen) {
    let kubeconfig = stage.ground.cluster().kubeconfig().display();
    let metrics = format!("{}/metrics", stage.operator.admin_url());
    let emulator = stage.emulator_url();
    let admin = stage.emulator_admin_url();
    let look = format!(
        "kubectl -n {NAMESPACE} annotate ct contoso --overwrite hybridcalendar.dev/reconcile-requested-at=\"$(date)\""
    );
    let path = stage
        .ground
        .kubectl_folder()
        .map_or_else(String::new, |folder| {
            format!("\n  export PATH=\"{}:$PATH\"", folder.display())
        });
    screen.line(&format!(
        r#"
Look around in another terminal:
  export KUBECONFIG="{kubeconfig}"{path}
  kubectl get ct,wm -A
  kubectl -n {NAMESPACE} describe wm typing-error
  curl -s {metrics} | grep ^hybridcalendar_
The emulator is Graph and the login host at {emulator}; its journal: curl -s {admin}/journal

Break a domain, look, and repair it:
  sed 's/contoso.example, default: true/&, verified: false/' "{WORLD}" | curl -s -X PUT --data-binary @- {admin}/world
  {look}
  kubectl -n {NAMESPACE} get ct contoso -o wide
  curl -s -X PUT --data-binary @"{WORLD}" {admin}/world
  {look}

Give Fabrikam a secret that has not expired:
  kubectl -n {NAMESPACE} patch secret fabrikam-credential -p '{{"stringData": {{"client-secret": "fabrikam-new-secret"}}}}'
  kubectl -n {NAMESPACE} wait --for=condition=Ready ct/fabrikam wm/fabrikam-room

Remove a subscription behind the operator's back, and see that it is replaced:
  curl -s -X POST -H 'Content-Type: application/json' -d '{{"lifecycle": true}}' \
    {admin}/subscriptions/$(kubectl -n {NAMESPACE} get wm room-a -o jsonpath='{{.status.subscription.id}}')/remove
  kubectl -n {NAMESPACE} get wm room-a -o jsonpath='{{.status.history}}'

Renewals and changes are told below. Ctrl-C ends the demo and removes everything."#
    ));
}

// A twin of the operator's first validation of a mailbox, as controller-runtime wants it written: one reconciler, a cache of
// typed objects, the manager's own work queue and its limits. For each WorkspaceMailbox it asks Microsoft the same three
// questions and writes one status of the same shape.
//
// It does less than the operator: no subscriptions and no handshakes for them, no quotas, no checks of tenants, no Events, no
// metrics, no election of a leader.
package main

import (
	"flag"
	"net/http"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

func main() {
	namespace := flag.String("namespace", "", "where the tenants and mailboxes are")
	workers := flag.Int("workers", 64, "how many mailboxes are looked at at once")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*namespace, *workers); err != nil {
		ctrl.Log.Error(err, "cannot go on")
		os.Exit(1)
	}
}

func run(namespace string, workers int) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(addToScheme(scheme))
	offered := labels.SelectorFromSet(labels.Set{"hybridcalendar.dev/credential": "true"})
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{namespace: {}},
			DefaultTransform:  cache.TransformStripManagedFields(),
			ByObject:          map[client.Object]cache.ByObject{&corev1.Secret{}: {Label: offered}},
		},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	// Otherwise all workers but two would make new connections for every call.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = workers
	reconciler := &MailboxReconciler{Client: manager.GetClient(), Microsoft: &Microsoft{transport: transport}}
	err = ctrl.NewControllerManagedBy(manager).
		// What it writes itself is no reason to look again.
		For(&WorkspaceMailbox{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconciler)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const checkInterval = time.Hour

// MailboxReconciler looks at mailboxes.
type MailboxReconciler struct {
	client.Client
	Microsoft *Microsoft
}

// Reconcile looks at one mailbox and writes what it found.
func (r *MailboxReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var mailbox WorkspaceMailbox
	if err := r.Get(ctx, request.NamespacedName, &mailbox); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	tenant, err := r.tenant(ctx, &mailbox)
	if err != nil {
		return ctrl.Result{}, err
	}
	findings, err := look(ctx, tenant, mailbox.Spec.Address)
	var refused *Refused
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		return ctrl.Result{RequeueAfter: refused.RetryAfter}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	before := mailbox.DeepCopy()
	findings.tell(&mailbox)
	if !equality.Semantic.DeepEqual(before.Status, mailbox.Status) {
		if err := r.Status().Patch(ctx, &mailbox, client.MergeFrom(before)); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	return ctrl.Result{RequeueAfter: checkInterval}, nil
}

// tenant signs in to the mailbox's tenant; object and Secret come from the cache.
func (r *MailboxReconciler) tenant(ctx context.Context, mailbox *WorkspaceMailbox) (*Tenant, error) {
	var tenant CalendarTenant
	key := client.ObjectKey{Namespace: mailbox.Namespace, Name: mailbox.Spec.TenantRef.Name}
	if err := r.Get(ctx, key, &tenant); err != nil {
		return nil, err
	}
	reference := tenant.Spec.Credential.ClientSecret.SecretRef
	var secret corev1.Secret
	key.Name = reference.Name
	if err := r.Get(ctx, key, &secret); err != nil {
		return nil, err
	}
	value, found := secret.Data[reference.Key]
	if !found {
		return nil, fmt.Errorf("the Secret %s has no %s", key, reference.Key)
	}
	return r.Microsoft.tenant(&tenant.Spec, string(value)), nil
}

// look asks the three questions, as long as the answers allow.
func look(ctx context.Context, tenant *Tenant, address string) (Findings, error) {
	found := Findings{problems: map[string]Problem{}}
	users, err := tenant.findUsers(ctx, address)
	if err != nil {
		return found, err
	}
	if len(users) == 0 {
		found.problems["MailboxNotFound"] = Problem{"NotFound", "No mailbox has the address " + address + "."}
		return found, nil
	}
	user := users[0]
	if !strings.EqualFold(user.Mail, address) {
		found.problems["AddressMismatch"] = Problem{"AliasUsed", "The primary address is " + user.Mail + "."}
		return found, nil
	}
	switch status, err := outcome(tenant.readCalendar(ctx, user.ID)); {
	case err != nil:
		return found, err
	case status == http.StatusNotFound:
		found.problems["MailboxNotFound"] = Problem{"NotFound", "Exchange Online has no mailbox for " + address + "."}
		return found, nil
	case status == http.StatusForbidden:
		found.problems["Unauthorized"] = Problem{"AccessPolicyDenied", "The application may not read " + address + "."}
		return found, nil
	}
	found.mailbox = &Mailbox{ID: user.ID, PrimaryAddress: user.Mail, DisplayName: user.DisplayName}
	switch status, err := outcome(tenant.findPlace(ctx, address)); {
	case err != nil:
		return found, err
	case status != http.StatusOK:
		found.problems["RoomNotListed"] = Problem{"NotInPlaces", "Places does not list " + address + "."}
	}
	return found, nil
}

// outcome tells what says something about the mailbox from what says something about the service.
func outcome(err error) (int, error) {
	var refused *Refused
	switch {
	case err == nil:
		return http.StatusOK, nil
	case errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusForbidden):
		return refused.Status, nil
	default:
		return 0, err
	}
}

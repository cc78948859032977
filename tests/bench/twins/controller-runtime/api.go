package main

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "hybridcalendar.dev", Version: "v1alpha1"}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion,
		&CalendarTenant{}, &CalendarTenantList{}, &WorkspaceMailbox{}, &WorkspaceMailboxList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}

// CalendarTenant is what is used of one.
type CalendarTenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              CalendarTenantSpec `json:"spec"`
}

// CalendarTenantSpec says where the tenant is and with what to sign in.
type CalendarTenantSpec struct {
	TenantID  string `json:"tenantId"`
	ClientID  string `json:"clientId"`
	Endpoints struct {
		Login string `json:"login"`
		Graph string `json:"graph"`
	} `json:"endpoints"`
	Credential struct {
		ClientSecret struct {
			SecretRef struct {
				Name string `json:"name"`
				Key  string `json:"key"`
			} `json:"secretRef"`
		} `json:"clientSecret"`
	} `json:"credential"`
}

// CalendarTenantList is a list of tenants.
type CalendarTenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CalendarTenant `json:"items"`
}

// WorkspaceMailbox is one room.
type WorkspaceMailbox struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              WorkspaceMailboxSpec   `json:"spec"`
	Status            WorkspaceMailboxStatus `json:"status,omitempty"`
}

// WorkspaceMailboxSpec is what is used of it.
type WorkspaceMailboxSpec struct {
	TenantRef struct {
		Name string `json:"name"`
	} `json:"tenantRef"`
	Address string `json:"address"`
}

// WorkspaceMailboxStatus has the operator's fields, but for the subscription.
type WorkspaceMailboxStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Mailbox            *Mailbox           `json:"mailbox,omitempty"`
	ActivatedAt        *metav1.Time       `json:"activatedAt,omitempty"`
	History            []HistoryEntry     `json:"history,omitempty"`
}

// Mailbox is what the directory says.
type Mailbox struct {
	ID             string `json:"id"`
	PrimaryAddress string `json:"primaryAddress"`
	DisplayName    string `json:"displayName"`
}

// HistoryEntry is a change of Ready's reason.
type HistoryEntry struct {
	Time    metav1.Time `json:"time"`
	From    string      `json:"from,omitempty"`
	To      string      `json:"to"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
}

// WorkspaceMailboxList is a list of mailboxes.
type WorkspaceMailboxList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WorkspaceMailbox `json:"items"`
}

// What follows is what a generator writes for larger APIs.

// DeepCopyObject copies the tenant.
func (t *CalendarTenant) DeepCopyObject() runtime.Object {
	copied := *t
	copied.ObjectMeta = *t.ObjectMeta.DeepCopy()
	return &copied
}

// DeepCopyObject copies the list.
func (l *CalendarTenantList) DeepCopyObject() runtime.Object {
	copied := *l
	copied.ListMeta = *l.ListMeta.DeepCopy()
	copied.Items = make([]CalendarTenant, len(l.Items))
	for i := range l.Items {
		copied.Items[i] = *l.Items[i].DeepCopyObject().(*CalendarTenant)
	}
	return &copied
}

// DeepCopy copies the mailbox.
func (m *WorkspaceMailbox) DeepCopy() *WorkspaceMailbox {
	copied := *m
	copied.ObjectMeta = *m.ObjectMeta.DeepCopy()
	copied.Status.Conditions = slices.Clone(m.Status.Conditions)
	copied.Status.History = slices.Clone(m.Status.History)
	if m.Status.Mailbox != nil {
		mailbox := *m.Status.Mailbox
		copied.Status.Mailbox = &mailbox
	}
	copied.Status.ActivatedAt = m.Status.ActivatedAt.DeepCopy()
	return &copied
}

// DeepCopyObject copies the mailbox.
func (m *WorkspaceMailbox) DeepCopyObject() runtime.Object { return m.DeepCopy() }

// DeepCopyObject copies the list.
func (l *WorkspaceMailboxList) DeepCopyObject() runtime.Object {
	copied := *l
	copied.ListMeta = *l.ListMeta.DeepCopy()
	copied.Items = make([]WorkspaceMailbox, len(l.Items))
	for i := range l.Items {
		copied.Items[i] = *l.Items[i].DeepCopy()
	}
	return &copied
}

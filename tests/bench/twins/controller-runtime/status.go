package main

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Problems in order of precedence: whether one keeps the mailbox from being Ready, and the reason when there is none.
var conditions = []struct {
	name      string
	blocks    bool
	otherwise string
}{
	{"TenantNotReady", true, "TenantReady"},
	{"Conflict", true, "NoConflict"},
	{"DomainMismatch", true, "DomainVerified"},
	{"MailboxNotFound", true, "MailboxFound"},
	{"AddressMismatch", true, "PrimaryAddress"},
	{"Unauthorized", true, "Authorized"},
	{"SubscriptionInactive", true, "NotApplicable"},
	{"RoomNotListed", false, "Listed"},
}

// Findings are what a look found: the mailbox, and problems by condition.
type Findings struct {
	mailbox  *Mailbox
	problems map[string]Problem
}

// Problem is why a condition is True.
type Problem struct{ reason, message string }

// tell writes the findings into the status.
func (f Findings) tell(mailbox *WorkspaceMailbox) {
	status := &mailbox.Status
	before := meta.FindStatusCondition(status.Conditions, "Ready").DeepCopy()
	for _, condition := range append([]metav1.Condition{f.ready()}, f.checks()...) {
		condition.ObservedGeneration = mailbox.Generation
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	status.ObservedGeneration = mailbox.Generation
	if f.mailbox != nil {
		status.Mailbox = f.mailbox
	}
	ready := meta.FindStatusCondition(status.Conditions, "Ready")
	if status.ActivatedAt == nil && ready.Status == metav1.ConditionTrue {
		status.ActivatedAt = ready.LastTransitionTime.DeepCopy()
	}
	if before == nil || before.Reason != ready.Reason {
		entry := HistoryEntry{Time: ready.LastTransitionTime, To: ready.Reason, Reason: ready.Reason, Message: ready.Message}
		if before != nil {
			entry.From = before.Reason
		}
		status.History = append([]HistoryEntry{entry}, status.History...)
	}
}

// ready is the summary.
func (f Findings) ready() metav1.Condition {
	for _, condition := range conditions {
		if problem, exists := f.problems[condition.name]; exists && condition.blocks {
			return metav1.Condition{
				Type: "Ready", Status: metav1.ConditionFalse, Reason: condition.name,
				Message: problem.reason + ": " + problem.message,
			}
		}
	}
	return metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Activated",
		Message: "The mailbox works. Its calendar is not being watched.",
	}
}

// checks are all other conditions.
func (f Findings) checks() []metav1.Condition {
	var checks []metav1.Condition
	for _, condition := range conditions {
		check := metav1.Condition{Type: condition.name, Status: metav1.ConditionFalse, Reason: condition.otherwise}
		if problem, exists := f.problems[condition.name]; exists {
			check.Status, check.Reason, check.Message = metav1.ConditionTrue, problem.reason, problem.message
		}
		checks = append(checks, check)
	}
	return checks
}

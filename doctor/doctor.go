// Package doctor knows what keeps a lab from working on a machine: rules, each with an ID, a look at the machine, words that
// say what is wrong and why it matters, and the command that mends it.
//
// A machine is looked at first, all parts at the same time ([Inspect]); the rules then are pure functions of what was seen.
// A failing command is matched against the same rules, by the words of its error ([Match]).
package doctor

import (
	"slices"

	"github.com/hellolab/hellolab/messages"
)

// Severity says how bad a finding is.
type Severity string

// With an error the lab cannot be made, or does not work; a warning is about a part of it.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Rule is one thing that can be wrong with a machine.
type Rule struct {
	// ID names the rule for programs and for people who search the web.
	ID       string
	Severity Severity
	// Stops says that `up` looks before it makes anything, since nothing else of it would notice; Mentioned that it tells of it then.
	Stops, Mentioned bool
	// Why is why it matters.
	Why messages.Text
	// find returns the cases of it on a machine; nil is a rule that only an error tells of.
	find func(Machine) []Case
	// signs are in the words of errors that it causes, in lower case. Told and Next are what is said of these.
	signs []string
	told  messages.Text
	next  messages.Text
}

// Case is one case of a rule on a machine.
type Case struct {
	// What is wrong, and what to do about it.
	What, Next messages.Text
}

// Finding is a case with its rule.
type Finding struct {
	Rule
	Case
}

// Examine returns what is wrong with a machine, errors first.
func Examine(seen Machine) []Finding { return examine(seen, func(Rule) bool { return true }) }

// Early returns what `up` has to know before it makes a lab on a machine: what keeps it from that, and what it has to tell.
func Early(seen Machine) (stops, mentioned []Finding) {
	return examine(seen, func(rule Rule) bool { return rule.Stops }), examine(seen, func(rule Rule) bool { return rule.Mentioned })
}

func examine(seen Machine, wanted func(Rule) bool) []Finding {
	var all []Finding
	for _, rule := range Rules() {
		if rule.find == nil || !wanted(rule) {
			continue
		}
		for _, found := range rule.find(seen) {
			all = append(all, Finding{rule, found})
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return rank(a) - rank(b) })
	return all
}

func rank(f Finding) int { return slices.Index([]Severity{Error, Warning}, f.Severity) }

// Failure is the finding as an error.
func (f Finding) Failure() error {
	return &messages.Error{What: f.What, Hint: f.Next}
}

// Serious reports whether any of findings keeps the lab from working.
func Serious(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

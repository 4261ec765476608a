package course

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/messages"
)

// faulty is a chapter of one step with one fault, which begins in line 7.
func faulty(lines ...string) map[string]string {
	return step("expect:", "  - absent: {kind: Pod, name: web}", "faults:", "  - "+strings.Join(lines, "\n        "))
}

// sound are the lines of a fault with nothing wrong, but for those that are given instead of the one of the same key.
func sound(instead ...string) []string {
	all := []string{"name: gone", "symptom: {en: It is gone., zh: 没了。}", "cause: {en: somebody deleted it, zh: 被删掉了}",
		"plant: [delete: {kind: Pod, name: web}]", "remedy: [kubectl apply -f pod.yaml]"}
	for _, line := range instead {
		key, value, _ := strings.Cut(line, ":")
		at := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, key+":") })
		switch {
		case at < 0:
			all = append(all, line)
		case value == "":
			all = slices.Delete(all, at, at+1)
		default:
			all[at] = line
		}
	}
	return all
}

// TestFaultsRefused holds what an author reads about a fault that cannot be, with its line.
func TestFaultsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"sound", sound("fails: absent", "cleanup: [{patch: {kind: Node, labels: a=b, with: {spec: {unschedulable: null}}}}]"), ""},
		{"no name", sound("name: No Name"), `line 7: "No Name" is not a valid name: use lower-case letters, digits and - only`},
		{"no symptom", sound("symptom:"), `line 7: "symptom" is missing`},
		{"no cause", sound("cause:"), `line 7: "cause" is missing`},
		{"nothing planted", sound("plant:"), `line 7: "plant" is missing`},
		{"no remedy", sound("remedy:"), `line 7: "remedy" is missing`},
		{"a field that there is not", sound(`symptom: {en: "{{.Nobody}}"}`), `line 8: "{{.Nobody}}" is not a valid explanation: there is no {{.Nobody}}`},
		{"a remedy with such a field", sound(`remedy: ["{{.Nobody}}"]`), `line 11: "{{.Nobody}}" is not a valid command: there is no {{.Nobody}}`},
		{"an expectation that the step has not", sound("fails: http"), `line 12: the step first expects no "http"`},
		{"an action of no kind", sound("plant: [{namespace: dev}]"), "line 10: it has to be just one of: apply"},
		{"a file that there is not", sound("plant: [apply: [faults/none.yaml]]"), "line 10: faults/none.yaml cannot be read"},
		{"a patch without content", sound("plant: [patch: {kind: Pod, name: web}]"), `line 10: "with" is missing`},
		{"a patch of nothing", sound("plant: [patch: {name: web, with: {a: b}}]"), `line 10: "kind" is missing`},
		{"a name and labels", sound("plant: [delete: {kind: Pod, name: web, labels: a=b}]"), "line 10: it has to be just one of: name, labels"},
		{"labels that are none", sound(`plant: [delete: {kind: Pod, labels: "!"}]`), `line 10: "!" is not a valid list of labels`},
		{"a namespace of the lab's", sound("plant: [delete: {kind: Pod, name: web, namespace: kube-system}]"), "line 10: the namespace kube-system belongs to the lab itself"},
		{"cleaning up there", sound("cleanup: [delete: {kind: Pod, name: web, namespace: hellolab}]"), "line 12: the namespace hellolab belongs to the lab itself"},
		{"cleaning up with files", sound("plant: [apply: [pod.yaml]]", "cleanup: [complete: pod/web]"), "line 12: a cleanup may only patch and delete"},
		{"somebody else's object", sound("plant: [delete: {kind: Secret, name: mine}]"), "line 10: the step first has no secret/mine -n default"},
		{"somebody else's namespace", sound("plant: [delete: {kind: Namespace, name: mine}]"), "line 10: the step first has no namespace/mine"},
		{"the same in another namespace", sound("plant: [{delete: {kind: Pod, name: web}, namespace: dev}]"), "line 10: the step first has no pod/web -n dev"},
		{"a key that there is not", sound("hint: look"), `line 12: "hint" is not a known key here`},
		{"an empty fault", []string{""}, "it is empty"},
	} {
		_, err := Load(files(faulty(test.lines...)), "my", "us")
		if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s: it says\n%s\nwant %s", test.name, got, test.want)
		}
	}
	for _, list := range []string{"do", "exercise"} {
		changing := step(list+":", "  - delete: {kind: Pod, name: web}", "expect:", "  - absent: {kind: Pod, name: web}")
		if _, err := Load(files(changing), "my", "us"); err == nil || !strings.Contains(err.Error(), "line 5: patch and delete are for faults only") {
			t.Errorf("%s deletes: %v", list, err)
		}
	}
	twice := faulty(sound()...)
	twice["one/lab.yaml"] += "      - " + strings.Join(sound(), "\n        ") + "\n"
	if _, err := Load(files(twice), "my", "us"); err == nil || !strings.Contains(err.Error(), `line 12: "gone" is there twice`) {
		t.Errorf("two faults of one name: %v", err)
	}
}

// TestFaultDangers holds that what a fault applies or changes is vetted as what a step applies.
func TestFaultDangers(t *testing.T) {
	t.Parallel()
	for plant, want := range map[string]string{
		"delete: {kind: Pod, name: web}":                                                                                "",
		"patch: {kind: Node, labels: a=b, with: {spec: {taints: []}}}":                                                  "node/a=b: it is of the whole cluster",
		"delete: {kind: ClusterRole, name: admin}":                                                                      "clusterrole/admin: it is of the whole cluster",
		"patch: {kind: Node, name: node, with: {kind: Pod, apiVersion: v1}}":                                            "node/node: it is of the whole cluster",
		"patch: {kind: Pod, name: web, with: {spec: {containers: [{name: web, securityContext: {privileged: true}}]}}}": "pod/web -n default: privileged",
	} {
		course, err := Load(files(faulty(sound("plant: ["+plant+"]")...)), "my", "us")
		if err != nil {
			t.Errorf("%s: %v", plant, err)
			continue
		}
		var all []string
		for _, danger := range course.Faults("")[0].Dangers() {
			all = append(all, danger.Text().String())
		}
		if got := strings.Join(all, "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: the dangers are %q, want %q", plant, got, want)
		}
	}
}

// TestPatchRenames holds that a patch names the course's own images under the account of the lab.
func TestPatchRenames(t *testing.T) {
	t.Parallel()
	lines := sound("plant: [patch: {kind: Pod, name: web, with: {spec: {containers: [{name: web, image: us/web:v1}]}}}]")
	course, err := Load(files(faulty(lines...)), "my", "me")
	if err != nil {
		t.Fatal(err)
	}
	fault := course.Faults("one")[0]
	content, err := fault.Plant[0].Operation.(*Patch).Content()
	if err != nil || string(content) != `{"spec":{"containers":[{"image":"me/web:v1","name":"web"}]}}` {
		t.Errorf("the patch is %s, %v", content, err)
	}
	if images := fault.Images(course); !slices.Equal(images, []string{"me/web:v1"}) {
		t.Errorf("its images are %v", images)
	}
}

// TestEmbeddedFaults holds that there is enough to practise with, all of it in both languages, and that each fault says what it fails.
func TestEmbeddedFaults(t *testing.T) {
	t.Parallel()
	course, err := Load(Embedded(), "", "guangzhengli")
	if err != nil {
		t.Fatal(err)
	}
	faults := course.Faults("")
	if len(faults) < 25 {
		t.Errorf("there are %d faults", len(faults))
	}
	for _, fault := range faults {
		for _, words := range []Words{fault.Symptom, fault.Cause} {
			if words.English == "" || words.Chinese == "" {
				t.Errorf("%s: one language is missing: %+v", fault.ID(), words)
			}
		}
		if fault.Fails == "" {
			t.Errorf("%s does not say what it fails", fault.ID())
		}
		if course.Fault(fault.ID()) != fault {
			t.Errorf("%s is not found", fault.ID())
		}
		if slices.Contains(fault.Step().Needs, "tunnel") {
			t.Errorf("%s needs a tunnel, which nobody keeps running", fault.ID())
		}
		for _, line := range fault.Remedy {
			if said := (Place{}).Command(line); strings.Contains((messages.Printer{}).Text(said), "{{") {
				t.Errorf("%s: the remedy is %s", fault.ID(), said)
			}
		}
	}
	if course.Fault("pod/nginx") != nil || len(course.Faults("pod")) >= len(faults) {
		t.Error("a chapter's faults are all of the course's")
	}
}

// TestDraw holds that a seed gives the same faults everywhere, never one twice in a row, and that seeds reach all of them.
func TestDraw(t *testing.T) {
	t.Parallel()
	one, err := Load(Embedded(), "", "guangzhengli")
	if err != nil {
		t.Fatal(err)
	}
	other, err := Load(Embedded(), "", "somebody")
	if err != nil {
		t.Fatal(err)
	}
	ids := func(faults []*Fault) (all []string) {
		for _, fault := range faults {
			all = append(all, fault.ID())
		}
		return all
	}
	backwards := other.Faults("")
	slices.Reverse(backwards)
	if a, b := ids(Draw(one.Faults(""), 7, "")), ids(Draw(backwards, 7, "")); !slices.Equal(a, b) {
		t.Errorf("two labs draw %q and %q", a, b)
	}
	if got := ids(Draw(one.Faults(""), 7, "")[:5]); !slices.Equal(got, seven) {
		t.Errorf("the seed 7 gives %q: teachers count on it", got)
	}
	reached, last := map[string]bool{}, ""
	for seed := range 500 {
		drawn := Draw(one.Faults(""), seed, last)
		if drawn[0].ID() == last {
			t.Errorf("the seed %d gives %s twice in a row", seed, last)
		}
		last = drawn[0].ID()
		reached[last] = true
		if seed == 0 && len(slices.Compact(slices.Sorted(slices.Values(ids(drawn))))) != len(drawn) {
			t.Errorf("one is drawn twice: %q", ids(drawn))
		}
	}
	if len(reached) != len(one.Faults("")) {
		t.Errorf("only %d of %d are reached", len(reached), len(one.Faults("")))
	}
	single := one.Faults("pod")[:1]
	if got := Draw(single, 1, single[0].ID()); len(got) != 1 {
		t.Errorf("of one fault %q is drawn", ids(got))
	}
}

// seven are the faults of an exam of five with the seed 7.
var seven = []string{"deployment/rolling-update/no-room", "pod/hellok8s/command", "helm/install/no-secret", "deployment/rolling-update/limit-range",
	"helm/chart/no-message"}

package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hellolab/hellolab/messages"
)

// example is a command line that a reader may type, and what it is good for.
type example struct {
	line    string
	purpose messages.Text
}

// examples are those of the help, by the words of the command.
func examples() map[string][]example {
	say := messages.T
	return map[string][]example{
		"": {
			{"hellolab up", say("start the lab")},
			{"hellolab lab show container", say("read what to do in the course's first chapter")},
			{"hellolab lab check container --watch", say("see whether it is done, while you do it")},
			{"hellolab down", say("delete the lab again")},
		},
		"up": {
			{"hellolab up", say("a lab with one node")},
			{"hellolab up --workers 2", say("two more nodes")},
			{"hellolab up --set bootstrap.ports.http=auto", say("port 80 is taken: choose another one")},
			{"hellolab up --set registry.mirrors=cn", say("take images from mirrors in China")},
			{"hellolab up --from http://192.168.1.10:8765", say("take images from the teacher's machine")},
			{"hellolab --name second up --set bootstrap.ports.http=auto --set bootstrap.ports.https=auto --set bootstrap.ports.nodePort=auto --set registry.port=auto", say("a second lab next to the first")},
		},
		"down":   {{"hellolab down", say("delete the lab, with all that is in it")}, {"hellolab down --keep-registry", say("keep your images for the next lab")}},
		"stop":   {{"hellolab stop", say("free the memory, and keep what is in the lab")}},
		"start":  {{"hellolab start", say("use a stopped lab again")}},
		"pause":  {{"hellolab pause", say("free the processor, for a while")}},
		"resume": {{"hellolab resume", say("use a paused lab again")}},
		"status": {{"hellolab status", say("is the lab running, and at which addresses?")}, {"hellolab status -o json", say("the same for a program")}},
		"doctor": {{"hellolab doctor", say("look for what is wrong with this machine")}},
		"logs":   {{"hellolab logs report.zip", say("write what to attach to a bug report")}},

		"images":        {{"hellolab images list", say("see the eight tags")}, {"hellolab images push guangzhengli/hellok8s:v1", say("bring an image that you have built into the lab")}},
		"images list":   {{"hellolab images list", say("see the eight tags")}},
		"images build":  {{"hellolab images build", say("build what is missing or out of date")}, {"hellolab images build v1 --source hello", say("build v1 from sources that you have changed")}},
		"images push":   {{"hellolab images push guangzhengli/hellok8s:v1", say("bring an image that you have built into the lab")}, {"hellolab images push redis:7", say("bring somebody else's image into the lab")}},
		"images export": {{"hellolab images export hello", say("write the sources into the folder hello")}},
		"images env":    {{`eval "$(hellolab images env)"`, say("set the variables in this shell")}, {"hellolab images env --shell powershell", say("print them for another one")}},

		"bundle":       {{"hellolab bundle save lab.bundle", say("write all images into a file")}, {"hellolab bundle load lab.bundle", say("take them from it, on another machine")}},
		"bundle save":  {{"hellolab bundle save lab.bundle", say("write all images into a file")}, {"hellolab bundle save lab.bundle --platform linux/amd64 --platform linux/arm64", say("for both kinds of machines")}},
		"bundle load":  {{"hellolab bundle load lab.bundle", say("take the images from the file")}},
		"bundle serve": {{"hellolab bundle serve lab.bundle", say("give the file to a class")}},

		"lab":        {{"hellolab lab deployment/scale", say("set the cluster up as it is after a step")}, {"hellolab lab deployment/scale --before", say("set it up as it is before the step, and do the step yourself")}},
		"lab list":   {{"hellolab lab list", say("see all steps, and which are done")}},
		"lab show":   {{"hellolab lab show pod/nginx", say("read what to do in a step")}, {"hellolab lab show pod", say("read a whole chapter")}, {"hellolab lab show pod/nginx --write .", say("write its files into this folder")}},
		"lab check":  {{"hellolab lab check pod/nginx", say("is the step done? if not: what is missing")}, {"hellolab lab check pod --watch", say("see it while you work, through the whole chapter")}},
		"lab hint":   {{"hellolab lab hint pod/nginx", say("stuck? one hint at a time")}},
		"lab report": {{"hellolab lab report me.json", say("write your report for the teacher")}, {"hellolab lab report --collect reports -o html > class.html", say("make the table of a class, as a page")}},
		"lab practice": {
			{"hellolab lab practice", say("find a fault, and mend it")},
			{"hellolab lab practice service --seed 7", say("one of a chapter, the same for everybody")},
			{"hellolab lab practice --exam 5 --seed 7 --minutes 30", say("an exam of five faults in half an hour")},
		},
		"lab reset":   {{"hellolab lab reset", say("start again with an empty cluster")}},
		"lab save":    {{"hellolab lab save friday.yaml", say("keep what you have made")}},
		"lab restore": {{"hellolab lab restore friday.yaml", say("bring it back")}},

		"why":     {{"hellolab why", say("what is wrong in this namespace?")}, {"hellolab why pod/nginx-pod", say("what is wrong with this pod?")}, {"hellolab why -n dev", say("what is wrong in another namespace?")}},
		"kubectl": {{"hellolab kubectl get pods", say("list the pods")}, {"hellolab kubectl apply -f nginx.yaml", say("create what a file describes")}},
		"tunnel":  {{"hellolab tunnel", say("leave it running, and work in a second terminal")}},
		"dashboard": {
			{"hellolab dashboard", say("leave it running, and work in a second terminal")},
			{"hellolab dashboard --no-browser", say("only print the address, to open it yourself")},
		},
		"ip":         {{"hellolab ip", say("the address that stands for minikube ip")}},
		"config":     {{"hellolab config", say("see all settings")}, {"hellolab config --set registry.port=5005", say("see what a setting would change")}},
		"completion": {{"source <(hellolab completion bash)", say("for this bash; put the line into ~/.bashrc for all")}, {"hellolab completion fish > ~/.config/fish/completions/hellolab.fish", say("for fish")}, {"hellolab completion powershell | Out-String | Invoke-Expression", say("for this PowerShell")}},
		"version":    {{"hellolab version", say("see what this program is built from")}},
	}
}

// examplesText is how the help shows the examples of a command.
func (p *program) examplesText(command string) string {
	var b strings.Builder
	for _, each := range examples()[command] {
		b.WriteString("  # " + p.printer.Text(each.purpose) + "\n  " + each.line + "\n")
	}
	return b.String()
}

// document gives every command the lines of its usage and its examples, for the manual page.
func (p *program) document(name string, commands []*cli.Command) {
	for _, command := range commands {
		full := strings.TrimSpace(name + " " + command.Name)
		command.UsageText = strings.TrimSpace("hellolab "+full+" "+command.ArgsUsage) + "\n" + p.examplesText(full)
		p.document(full, command.Subcommands)
	}
}

package check

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hellolab/hellolab/labs/course"
)

// TestWay holds which objects the requests of a condition go through.
func TestWay(t *testing.T) {
	t.Parallel()
	const service = "service/web"
	for name, test := range map[string]struct {
		condition course.Condition
		objects   []runtime.Object
		want      []string
	}{
		"the NodePort":            {&course.HTTP{Namespace: "default", NodePort: "web"}, nil, []string{service}},
		"a Service":               {&course.HTTP{Namespace: "default", Service: "web"}, nil, []string{service}},
		"a pod":                   {&course.HTTP{Namespace: "default", Pod: "web"}, nil, nil},
		"a load balancer":         {&course.LoadBalancer{Namespace: "default", Service: "web"}, nil, []string{service}},
		"no requests":             {&course.Endpoints{Namespace: "default", Service: "web"}, nil, nil},
		"the Ingress":             {&course.HTTP{Namespace: "default", Ingress: "/hello/you?a=b"}, []runtime.Object{ingressTo("/hello", "")}, []string{"ingress/web", service}},
		"no path of the Ingress":  {&course.HTTP{Namespace: "default", Ingress: "/hell"}, []runtime.Object{ingressTo("/hello", "")}, nil},
		"an Ingress for another":  {&course.HTTP{Namespace: "default", Ingress: "/hello"}, []runtime.Object{ingressTo("/hello", "a.local")}, nil},
		"an Ingress of elsewhere": {&course.HTTP{Namespace: "dev", Ingress: "/hello"}, []runtime.Object{ingressTo("/hello", "")}, nil},
	} {
		way, err := checker(t, test.objects...).Way(t.Context(), test.condition)
		var got []string
		for _, each := range way {
			got = append(got, typed(each))
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestLongestWay holds that the longest path of an Ingress is the one that a request takes.
func TestLongestWay(t *testing.T) {
	t.Parallel()
	both := ingressTo("/", "")
	paths := &both.Spec.Rules[0].HTTP.Paths
	long := (*paths)[0]
	long.Path, long.Backend.Service = "/hello", long.Backend.Service.DeepCopy()
	long.Backend.Service.Name = "hello"
	*paths = append([]networkingv1.HTTPIngressPath{long}, *paths...)
	for path, want := range map[string]string{"/hello": "service/hello", "/": "service/web", "/hellos": "service/web"} {
		way, err := checker(t, both).Way(t.Context(), &course.HTTP{Namespace: "default", Ingress: path})
		if err != nil || len(way) != 2 || typed(way[1]) != want {
			t.Errorf("%s: %v, %v", path, way, err)
		}
	}
}

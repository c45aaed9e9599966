// Judges writes by a ValidatingAdmissionPolicy with Kubernetes' own compiler and evaluator of CEL, among it `authorizer`.
//
// Reads one JSON object from standard input: a policy, its parameters, and writes, each with what its author may do.
// Writes one JSON list for each: the messages of the rules that refuse it, in order.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	apiservercel "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
)

type write struct {
	Object    map[string]any `json:"object"`
	OldObject map[string]any `json:"oldObject"`
	// Rights are `verb group/resource namespace/name`; the name of a collection is empty.
	Rights []string `json:"rights"`
}

type question struct {
	Policy     admissionregistration.ValidatingAdmissionPolicy `json:"policy"`
	Parameters map[string]any                                  `json:"parameters"`
	Writes     []write                                         `json:"writes"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	compiler, err := plugincel.NewCompositedCompiler(env)
	if err != nil {
		return err
	}
	declared := plugincel.OptionalVariableDeclarations{HasParams: true, HasAuthorizer: true}
	accessors := []plugincel.ExpressionAccessor{}
	for _, one := range asked.Policy.Spec.Validations {
		accessors = append(accessors, &validating.ValidationCondition{
			Expression: one.Expression, Message: one.Message, Reason: one.Reason,
		})
	}
	// NewExpressions is what the API server compiles a policy with when it is created.
	condition := compiler.CompileCondition(accessors, declared, environment.NewExpressions)
	if wrong := condition.CompilationErrors(); len(wrong) > 0 {
		return fmt.Errorf("the policy does not compile: %v", wrong)
	}
	none := plugincel.NewCondition(nil)
	judge := validating.NewValidator(condition, nil, none, none, asked.Policy.Spec.FailurePolicy, nil)
	answers := [][]string{}
	for _, one := range asked.Writes {
		answers = append(answers, refusals(judge, one, asked.Parameters))
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func refusals(judge validating.Validator, one write, parameters map[string]any) []string {
	object := &unstructured.Unstructured{Object: one.Object}
	var old runtime.Object
	operation := admission.Create
	if one.OldObject != nil {
		old, operation = &unstructured.Unstructured{Object: one.OldObject}, admission.Update
	}
	kind := object.GroupVersionKind()
	resource := schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: strings.ToLower(kind.Kind) + "s"}
	author := &user.DefaultInfo{Name: "author"}
	attributes := admission.NewAttributesRecord(object, old, kind, object.GetNamespace(), object.GetName(), resource, "", operation, nil, false, author)
	versioned := &admission.VersionedAttributes{Attributes: attributes, VersionedObject: object, VersionedOldObject: old, VersionedKind: kind}
	var params runtime.Object
	if parameters != nil {
		params = &unstructured.Unstructured{Object: parameters}
	}
	may := authorizer.AuthorizerFunc(func(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
		right := fmt.Sprintf("%s %s/%s %s/%s", asked.GetVerb(), asked.GetAPIGroup(), asked.GetResource(), asked.GetNamespace(), asked.GetName())
		for _, granted := range one.Rights {
			if granted == right {
				return authorizer.DecisionAllow, "", nil
			}
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
	found := []string{}
	result := judge.Validate(context.Background(), resource, versioned, params, nil, apiservercel.RuntimeCELCostBudget, may)
	for _, decision := range result.Decisions {
		if decision.Action != validating.ActionAdmit {
			found = append(found, decision.Message)
		}
	}
	return found
}

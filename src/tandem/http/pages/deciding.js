// Lab: a decision with its reason and a key, and what the gates say to it.
import { call } from "./api.js";
import { $, h, icon } from "./dom.js";

const TICK = "m5 12.500 4.500 4.500L19 7.500";
const CROSS = "m6 6 12 12M18 6 6 18";
const ASK = "M9 9a3 3 0 1 1 4.500 2.600c-1 .600-1.500 1.200-1.500 2.400M12 17.500v.01";

let act = null;

// act: what it is called (head, says, go), where it is sent (path, body(why)), what follows (done:
// {head, says} of the answer), and whether somebody has to approve (approves).
export function decide(wanted) {
  act = wanted;
  $("decide-head").textContent = act.head;
  $("decide-says").textContent = act.says;
  $("go").textContent = act.go;
  $("go").disabled = false;
  $("why").value = "";
  $("approval").hidden = !act.approves;
  $("approved-by").value = "";
  $("key").value = sessionStorage.getItem("admin-key") || "";
  $("decide-error").textContent = "";
  $("gates").replaceChildren();
  $("decide").showModal();
}

export function gate(g, overridden = []) {
  const kind = g.passed ? "ok" : "todo";
  return h("li", { class: `check ${kind}` }, icon(g.passed ? TICK : g.passed === null ? ASK : CROSS),
    h("div", {}, h("b", {}, g.name), overridden.includes(g.name) ? " (overruled)" : "", h("p", { class: "muted" }, g.says)));
}

$("cancel").addEventListener("click", () => $("decide").close());
$("decide-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  const approved = $("approved-by").value.trim();
  $("go").disabled = true;
  $("decide-error").textContent = act.waiting || "";
  try {
    const body = { why: $("why").value, ...act.body, ...(act.approves && approved && { approved_by: approved }) };
    const decided = await call("POST", act.path, { body, key });
    sessionStorage.setItem("admin-key", key);
    $("decide-error").textContent = "";
    const { head, says } = act.done(decided);
    $("decide-head").textContent = head;
    $("decide-says").textContent = says;
    $("gates").replaceChildren(...(decided.gates || []).map((g) => gate(g, decided.overridden)));
    await act.then();
  } catch (error) {
    $("decide-error").textContent = error.status === 401 ? "This key does not open this server." : `${error.message}. ${error.remedy}`;
    $("go").disabled = false;
  }
});

// Creating an account: an address, then the mailed link and a password.

const $ = (id) => document.getElementById(id);
const FORMS = ["sign-in-form", "register-form", "confirm-form"];

function show(id) {
  for (const form of FORMS) $(form).hidden = form !== id;
  $(id).querySelector("input").focus();
}

/** Submit a form; errors are shown in it. */
function onSubmit(id, action) {
  $(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const error = form.querySelector(".error");
    error.textContent = "";
    try {
      await action(form.elements);
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
}

/** The token in a mailed link, or in pasted text. */
const tokenOf = (text) => decodeURIComponent(text.trim().replace(/^.*#token=/s, ""));

export function offerRegistration(post, signIn) {
  $("register").addEventListener("click", () => show("register-form"));
  for (const button of document.querySelectorAll("button.back")) {
    button.addEventListener("click", () => show("sign-in-form"));
  }
  onSubmit("register-form", async ({ email }) => {
    await post("auth/register", { email: email.value });
    $("registered").textContent = email.value;
    show("confirm-form");
  });
  onSubmit("confirm-form", async ({ link, password }) => {
    await post("auth/verify", { token: tokenOf(link.value), password: password.value });
    await signIn({ username: $("registered").textContent, password: password.value });
    $("confirm-form").reset();
    $("register-form").reset();
    for (const form of FORMS) $(form).hidden = form !== "sign-in-form";
  });
}

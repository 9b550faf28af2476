// Looks again how an order stands while that can change, and helps to copy an account number.
(() => {
  "use strict";
  const standing = () => document.getElementById("standing");

  const help = () => {
    for (const button of document.querySelectorAll("button[data-copies]")) {
      button.hidden = !navigator.clipboard;
      button.onclick = async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
        const said = button.parentElement.querySelector("[data-said]");
        said.textContent = said.dataset.said;
      };
    }
  };

  // The page itself is the answer: whoever may see it may ask, and there is one place that knows the words.
  const look = async () => {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById("standing");
    if (!now || now.dataset.state === standing().dataset.state) return;
    document.title = page.title;
    // The announcing element stays; what it says changes.
    standing().replaceChildren(...now.childNodes);
    standing().className = now.className;
    standing().dataset.state = now.dataset.state;
    standing().dataset.watch = now.dataset.watch ?? "";
    const rest = [...page.querySelector("main").children].filter((part) => part !== now);
    for (const part of [...document.querySelector("main").children]) if (part !== standing()) part.remove();
    standing().after(...rest);
    help();
  };

  let looks = 0;
  const again = () => {
    const every = Number(standing().dataset.watch);
    if (!every) return;
    // Quickly at first, then with patience: two minutes of every two seconds are sixty questions.
    setTimeout(async () => {
      looks += 1;
      if (!document.hidden) await look().catch(() => {});
      again();
    }, 1000 * Math.min(every * (1 + Math.floor(looks / 10)), 30));
  };

  help();
  again();
})();

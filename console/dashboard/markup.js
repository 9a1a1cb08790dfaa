// Shows the HTML Python sends. A click on [data-open] goes to that address without a reload, as the
// browser's back button does; radio buttons choose which [data-pane] is seen; a link to #id opens
// the <details> of that id.
export default function ({ parentElement, data }) {
  let box = parentElement.querySelector(".markup");
  if (!box) {
    box = document.createElement("div");
    box.className = "markup";
    parentElement.appendChild(box);
  }
  if (box.seen !== data) {
    box.innerHTML = data;
    box.seen = data;
  }
  const follow = (event, element) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    window.history.pushState(null, "", element.dataset.open);
    window.dispatchEvent(new PopStateEvent("popstate"));
  };
  box.onclick = (event) => {
    const link = event.target.closest("a");
    const anchor = link && link.getAttribute("href");
    if (anchor && anchor.startsWith("#")) {
      const target = box.querySelector(`[id="${CSS.escape(anchor.slice(1))}"]`);
      event.preventDefault();
      if (target) {
        target.open = true;
        target.scrollIntoView({ block: "nearest" });
        target.querySelector("summary").focus();
      }
      return;
    }
    const open = event.target.closest("[data-open]");
    if (open && (!link || link === open || open.contains(link))) follow(event, open);
  };
  box.onchange = (event) => {
    for (const pane of box.querySelectorAll("[data-pane]")) pane.hidden = pane.dataset.pane !== event.target.value;
  };
}

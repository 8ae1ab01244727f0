// The desk refreshes itself. If that fails, the last figures are marked as old.
document.addEventListener("DOMContentLoaded", () => {
  const desk = document.getElementById("desk");
  if (!desk) return;
  const refresh = async () => {
    try {
      const answer = await fetch(desk.dataset.url, { redirect: "error" });
      if (!answer.ok) throw new Error(answer.status);
      desk.innerHTML = await answer.text();
      desk.classList.remove("old");
    } catch {
      desk.classList.add("old");
    }
    setTimeout(refresh, desk.dataset.every * 1000);
  };
  setTimeout(refresh, desk.dataset.every * 1000);
});
